"""The real case, whole: to another model and back, to a fine-tuned one, to a worse one that is stopped, to another detector."""

import time
from collections.abc import Callable

from benchmarks.machine import Row
from benchmarks.rebuild import gallery, models, proof
from benchmarks.rebuild.asked import Asked, Told
from benchmarks.rebuild.service import Document, Rebuilding, seconds

OLD, TUNED, WORSE, YUNET = "casia-webface", "tuned", "worse", "yunet"


class Case:
    """One service, rebuilt again and again; what must hold is asked for after each step."""

    def __init__(self, service: Rebuilding, *, despite_policy: bool) -> None:
        self.service, self._despite_policy = service, despite_policy
        self.rows: list[Row] = []
        self.notes: list[str] = []
        catalog = service.catalog()
        self._assigned, self._names = proof.assigned(catalog), proof.names(catalog)

    def step(self, case: str, state: str, *, may_be_stopped: bool = False, **what: str) -> Document:
        """A rebuild that must end in *state*; its times, findings and accuracy are noted.

        One that *may_be_stopped* by the policy is then switched to all the same.
        """
        started = time.perf_counter()
        rebuild = self.service.rebuild(**what)
        nevertheless = self._despite_policy or may_be_stopped
        found = self.service.wait(rebuild, (state, "stopped") if nevertheless else (state,))
        if found["state"] != state:
            self.notes.append(f"{case}: stopped first ({found['error']}), then switched to despite the policy")
            self.service.change(rebuild, "switch", despite_policy=True)
            found = self.service.wait(rebuild, (state,))
        self.rows.append(Row(case, "from asking to the end, s", time.perf_counter() - started))
        steps = seconds(found, self.service.catalog())
        self.rows += [Row(case, f"{step}, s", s) for step, s in steps.items()]
        self.rows.append(Row(case, "faces brought in", float(found["progress"]["faces"])))
        self.rows += [Row(case, f"findings, {kind}", float(count)) for kind, count in sorted(found["findings"].items())]
        accuracy = (found["comparison"] or {}).get("accuracy", {})
        for figure in ("rank1", "tmr_at_fmr_1e-3"):
            for side in ("before", "after"):
                if accuracy.get(figure) is not None:
                    self.rows.append(Row(case, f"{figure} %, {side}", 100 * accuracy[figure][side]))
        self.notes.append(
            f"{case}: source {found['source']}, {found['state']}" + (f": {found['error']}" if found["error"] else "")
        )
        self.holds(case)
        return found

    def timed(self, case: str, what: str, work: Callable[[], tuple[Document, float]]) -> None:
        """Something that is done at once; the milliseconds it took."""
        _, took_s = work()
        self.rows.append(Row(case, f"{what}, ms", 1000 * took_s))
        self.holds(f"{case}, {what}")

    def searches(self, model: str) -> None:
        """A search must be answered by *model*, and name whom the photo shows."""
        [(public_id, name)] = self.service.catalog().all(
            "SELECT f.public_id, p.name FROM faces f JOIN people p ON p.id = f.person_id ORDER BY f.id LIMIT 1"
        )
        with self.service.client() as client:
            answer = client.post("/v1/search?threshold=0.5", json={"face_id": public_id}).raise_for_status().json()
        by, first = self.service.models()[answer["model"]], answer["faces"][0]["matches"][0]["person"]["name"]
        if (by, first) != (model, name):
            raise SystemExit(f"A face of {name} is named {first} by {by}; searches should be answered by {model}.")

    def holds(self, case: str) -> None:
        """Every face of before is whose it was, under the id that it had; every live generation is complete."""
        catalog = self.service.catalog()
        now = proof.assigned(catalog)
        changed = [face for face, of in self._assigned.items() if now.get(face) != of]
        strangers = [face for face, (person, _) in now.items() if person is not None and face not in self._assigned]
        wrong = proof.wrong(catalog)
        if changed or strangers or wrong or proof.names(catalog) != self._names:
            raise SystemExit(f"{case}: {len(changed)} faces are somebody else's, {len(strangers)} are new; {wrong}")


def told(asked: Asked) -> Told:
    """All of it in one service, in the order of the issue."""
    with gallery.served(asked, "case") as service:
        case = Case(service, despite_policy=asked.quick)  # Of a few people little can be said.
        there = case.step("casia-webface to vggface2", "switched", model=gallery.NEW)["id"]
        case.searches(gallery.NEW)
        case.timed("casia-webface to vggface2", "rollback", lambda: service.change(there, "rollback"))
        case.searches(OLD)
        case.timed("casia-webface to vggface2", "switch again", lambda: service.change(there, "switch"))
        case.searches(gallery.NEW)
        case.step("and back", "switched", may_be_stopped=True, model=OLD)  # It is the worse of the two.
        case.searches(OLD)
        service.colega("models", "prune", gallery.NEW)
        case.rows += _tuned(service, asked)
        case.step("to a fine-tuned model", "switched", model=TUNED)
        case.searches(TUNED)
        service.colega("models", "add", str(models.worse(asked.folder / "worse")), "--name", WORSE, "--licence", "MIT")
        stopped = case.step("to a worse model", "stopped", model=WORSE)["id"]
        case.searches(TUNED)
        service.change(stopped, "cancel")
        service.colega("models", "add", str(models.YUNET), "--name", YUNET, "--kind", "detector", "--licence", "MIT")
        raw = case.step("MTCNN to YuNet, from raw photos", "switched", may_be_stopped=True, detector=YUNET)["id"]
        case.searches(TUNED)
        case.timed("MTCNN to YuNet, from raw photos", "rollback", lambda: service.change(raw, "rollback"))
        case.searches(TUNED)
        rounds = service.catalog().all("SELECT rule, count(*) FROM faces WHERE chip_key IS NOT NULL GROUP BY rule")
        case.notes.append("faces by detection rule, both rounds: " + ", ".join(f"{n} {rule}" for rule, n in rounds))
    return Told(case.rows, case.notes)


def _tuned(service: Rebuilding, asked: Asked) -> list[Row]:
    """A model fine-tuned on the collection's faces by the training worker, or the one that was given."""
    started = time.perf_counter()
    if asked.tuned is not None:
        service.colega("models", "add", str(asked.tuned), "--name", TUNED, "--licence", "MIT")
        return []
    service.colega("train", "--method", "triplet", "--collection", "default", "--from", OLD, "--name", TUNED)
    with service.client() as client:  # Where nobody is, so that this is no rebuild yet.
        client.post("/v1/collections", json={"name": "empty"}).raise_for_status()
        accepted = {"accept_licence": True}
        client.post(f"/v1/models/{TUNED}/activate?collection=empty", json=accepted).raise_for_status()
    return [Row("to a fine-tuned model", "training, s", time.perf_counter() - started)]
