"""Two tenants of one service: what the one has, and what whoever has a key of the other might ask about it."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.catalog import collections
from services.catalog.engine import Catalog
from services.catalog.schema import Evaluation, new_id
from services.catalog.tables.rebuild import Finding, Rebuild
from services.gateway.compreface import ids
from tests.running import Running

ANY_NUMBER = 999_999_999

Ids = Mapping[str, str]
"""By what it is of, such as ``person_id``."""


@dataclass(frozen=True)
class Tenant:
    """A collection, a key that is limited to it and may do everything there, and what is in it."""

    name: str
    key: str
    ids: Ids
    told: tuple[str, ...]
    """What nobody else may be told: ids, names, and whatever else is in it."""


def unknown(of: Ids) -> dict[str, str]:
    """As *of*, of nothing that there ever was: of the same shape, so that nobody refuses it for that."""
    found = {}
    for name, value in of.items():
        prefix, line, rest = value.partition("_")
        if name == "image_id":
            found[name] = ids.image_id(new_id("fac"))
        elif name == "number":
            found[name] = str(ANY_NUMBER)
        elif line and re.fullmatch("[0-9a-f]{24}", rest):
            found[name] = new_id(prefix)
        else:
            found[name] = f"{value[:1]}{secrets.token_hex(6)}"
    return found


def tenant(service: Running, name: str, examples: Path) -> Tenant:
    """Fill the collection *name*: people, photos, faces, jobs, a merge, an erasure, a webhook, a source, a rebuild, an evaluation."""
    mark = secrets.token_hex(4)
    people = {f"Zenobia {mark}": "Joe Biden", f"Xaver {mark}": "Barack Obama", f"Wanda {mark}": "Grace Hopper"}
    job = service.enrol(
        {called: [(examples / "people" / one / "1.jpg").read_bytes()] for called, one in people.items()}, name
    )
    client = service.client(name)
    kept = client.people.show(client.people.named(f"Zenobia {mark}")[0]["id"])
    face = kept["shown_in"][0]
    with service.http(params={"collection": name}) as http:
        gone, into = (_send(http, "POST", "/v1/people", {"name": f"{one} {mark}"})["id"] for one in ("Vera", "Uwe"))
        merged = _send(http, "POST", f"/v1/people/{gone}/merge", {"into": into})
        erased = client.people.named(f"Wanda {mark}")[0]["id"]
        _send(http, "DELETE", f"/v1/people/{erased}")
        erasure = str(http.get("/v1/erasures").json()["items"][0]["id"])
        url = f"https://example.org/{mark}"
        webhook = _send(http, "POST", "/v1/webhooks", {"url": url, "events": ["job.ended"], "collection": name})
        source = _send(http, "POST", "/v1/sources", {"name": f"folder {mark}"})
        key = _send(http, "POST", "/v1/keys", {"name": f"key {mark}", "scopes": ["admin"], "collections": [name]})
    rebuild, evaluation, number = _rows(service, name)
    found = {
        "person_id": kept["id"],
        "photo_id": face["photo_id"],
        "face_id": face["id"],
        "job_id": job["id"],
        "merge_id": merged["merge"],
        "erasure_id": erasure,
        "webhook_id": webhook["id"],
        "source_id": source["id"],
        "key_id": key["id"],
        "rebuild_id": rebuild,
        "evaluation_id": evaluation,
        "number": number,
        "image_id": ids.image_id(face["id"]),
        "subject": f"Xaver {mark}",
        "name": name,
    }
    told = (*(value for what, value in found.items() if what != "number"), mark)
    return Tenant(name, str(key["secret"]), found, told)


def _send(http: httpx.Client, method: str, path: str, body: Any = None) -> Any:
    answer = http.request(method, path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def _rows(service: Running, name: str) -> tuple[str, str, str]:
    """A rebuild with a finding and an evaluation that have ended, as rows: to come by real ones takes minutes."""
    catalog = Catalog(f"sqlite:///{service.data / 'catalog' / 'catalog.sqlite'}")
    with catalog.transaction() as session:
        collection = collections.by_name(session, name)
        assert collection.model_id is not None
        assert collection.generation_id is not None
        rebuild = Rebuild(
            public_id=new_id("rbd"),
            collection_id=collection.id,
            model_id=collection.model_id,
            from_generation=collection.generation_id,
            state="cancelled",
        )
        evaluation = Evaluation(public_id=new_id("eva"), collection_id=collection.id, figures={"of": name})
        session.add_all([rebuild, evaluation])
        session.flush()
        finding = Finding(rebuild_id=rebuild.id, kind="missing", face_id=new_id("fac"))
        session.add(finding)
        session.flush()
        told = (rebuild.public_id, evaluation.public_id, str(finding.id))
    catalog.close()
    return told
