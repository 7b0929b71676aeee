"""What must hold when all faults are over: nothing acknowledged is lost or doubled, nobody who was erased is there."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tests.faults.traffic import Ledger
from tests.running import Running


@dataclass(slots=True)
class Verdict:
    """What became of what was acknowledged. Each list is empty when all is well."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    """Erased, and there."""
    wrong: list[str] = field(default_factory=list)
    """Somebody else, or nobody, named in the photo of one who had been found before; while faults went on or afterwards."""
    health: list[str] = field(default_factory=list)
    """Faults that health did not tell of, or that it still told of when they were over."""

    @property
    def is_well(self) -> bool:
        """Whether nothing is in any list."""
        return not (self.lost or self.doubled or self.returned or self.wrong or self.health)


def reach(service: Running, ledger: Ledger) -> Verdict:
    """Ask the service, which is well again, for everybody of *ledger*."""
    verdict = Verdict(wrong=list(ledger.wrong))
    client = service.client()
    for one in ledger.enrolled.values():
        service.ended(one.job, "default", within_s=180)
        [item] = [item for item in client.jobs.items(one.job) if item["photo_id"] in {one.photo_id, None}]
        if item["status"] not in {"done", "duplicate"} and one.erasing_at is None:
            verdict.lost.append(f"{one.name}: {item['status']} {item.get('reason')}")
    faces = Counter({person["name"]: person["faces"] for person in client.people.list()})
    names = Counter(person["name"] for person in client.people.list())
    before = len(ledger.wrong)
    for one in ledger.enrolled.values():
        one.is_found = True
        ledger.judge(one, dict(client.search(one.photo)), time.monotonic())
        if one.erasing_at is not None and names[one.name]:
            verdict.returned.append(one.name)
        if names[one.name] > 1 or faces[one.name] > 1:
            verdict.doubled.append(f"{one.name}: {names[one.name]} people, {faces[one.name]} faces")
    verdict.wrong += ledger.wrong[before:]
    return verdict
