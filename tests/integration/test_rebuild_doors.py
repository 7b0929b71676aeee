"""Rebuilds over HTTP, on both databases, without a worker: what is taken, refused and told in each state."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.broker.app import celery_app
from services.broker.requests import Asking
from services.broker.send import Queue
from services.broker.waking import Waking
from services.catalog import collections, generations, keys, models
from services.catalog.engine import Catalog
from services.catalog.rebuilding import findings, rebuilds
from services.catalog.running import processes
from services.catalog.schema import Model, new_id
from services.catalog.tables.rebuild import Chunk
from services.gateway.app import create_app
from services.gateway.doors import Gateway
from services.photos import keys as photo_keys
from services.photos.store import PhotoStore
from services.settings.service import GatewaySettings, Limits
from tests import vaults
from tests.integration.catalog import rows

NOBODY = "redis://127.0.0.1:1/0"
COMPARISON: dict[str, Any] = {"accuracy": {}, "gallery": {"overlap": {}}, "queries": None}


@dataclass
class Door:
    """A gateway over a catalog, and its first key."""

    catalog: Catalog
    http: FlaskClient
    key: str
    gateway: Gateway

    def send(self, method: str, path: str, **more: Any) -> TestResponse:
        """One request by the administrator."""
        headers = {"Authorization": f"Bearer {self.key}"} | more.pop("headers", {})
        return self.http.open(path, method=method, headers=headers, **more)

    def post(self, path: str, body: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """As :meth:`send`, with a JSON body."""
        return self.send("POST", path, json=body or {}, **more)

    def begin(self, model: str = "new", **more: Any) -> str:
        """The id of a rebuild that was asked for."""
        answer = self.post("/v1/rebuilds", {"model": model, **more})
        assert answer.status_code == 202, answer.get_data(as_text=True)
        return str(answer.get_json()["rebuild"])

    def show(self, rebuild: str) -> dict[str, Any]:
        """What is told of a rebuild."""
        return dict(self.send("GET", f"/v1/rebuilds/{rebuild}").get_json())

    def verb(self, rebuild: str, verb: str, body: dict[str, Any] | None = None) -> TestResponse:
        """Have *verb* done to a rebuild."""
        return self.post(f"/v1/rebuilds/{rebuild}/{verb}", body)

    def made(self, rebuild: str, state: str = "ready") -> None:
        """Conduct a rebuild of a collection without faces to *state*, as those do whose work it is."""
        with self.catalog.transaction() as session:
            row = rebuilds.by_public_id(session, rows.gallery(session).id, rebuild)
            made = generations.begin(session, row.collection_id, row.model_id, row.detector_id, round_=0)
            row.generation_id, row.plan, row.state = made.id, {"source": "chips"}, state
            if state in {"comparing", "ready", "stopped", "switching"}:
                generations.prepare(session, made)
            if state in {"ready", "stopped", "switching"}:
                row.comparison, row.comparison_job = COMPARISON, new_id("job")
            row.error = "Rank-1 falls too far." if state == "stopped" else None


@pytest.fixture
def door(catalog: Catalog, photo_store: PhotoStore, valkey: str, tmp_path: Path) -> Door:
    """A collection of one photo without faces, under the model `old`; `new` is to be had."""
    app = celery_app(valkey)
    with catalog.transaction() as session:
        collection, old = rows.gallery(session), embedder(session, "old")
        embedder(session, "new")
        generations.first(session, collection, old.id, None)
        rows.photo(session, "landscape")
        _, key = keys.issue(session, "administrator", ["admin"])
    gateway = Gateway(
        catalog=catalog,
        store=vaults.sealed(photo_store, catalog),
        probe=photo_store,
        queue=Queue(valkey, app),
        asking=Asking(valkey, app),
        waking=Waking(valkey),
        limits=Limits(),
        settings=GatewaySettings(),
        data=tmp_path,
        spool=tmp_path,
    )
    return Door(catalog, create_app(gateway).test_client(), key, gateway)


def embedder(session: Any, name: str, licence: str = "MIT", kind: str = "embedder") -> Model:
    row = Model(
        public_id=new_id("mod"),
        kind=kind,
        name=name,
        digest=new_id("d"),
        state="candidate",
        dimension=2,
        licence=licence,
    )
    session.add(row)
    session.flush()
    return row


def test_a_rebuild_is_taken_and_told_though_the_broker_is_away(door: Door) -> None:
    door.gateway.queue = Queue(NOBODY, celery_app(NOBODY))
    answer = door.post("/v1/rebuilds", {"model": "new", "switch": "manual", "min_rank1": 0.9})
    rebuild = answer.get_json()["rebuild"]

    told = door.send("GET", answer.headers["Location"]).get_json()

    assert answer.status_code == 202
    assert (told["id"], told["state"], told["settled"]) == (rebuild, "planning", False)
    assert (told["model"], told["detector"], told["before"]["model"]) == ("new", "mtcnn", "old")
    assert (told["switch"], told["source"], told["asked_by"]) == ("manual", "auto", "administrator")
    assert told["parameters"]["min_rank1"] == 0.9
    assert told["progress"] == {"total": 0, "done": 0, "faces": 0, "rate": None, "eta_s": None}
    assert [one["id"] for one in door.send("GET", "/v1/rebuilds").get_json()["items"]] == [rebuild]


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "name the model"),
    ({"model": "nobodys"}, 404, "no model nobodys"),
    ({"model": "old"}, 409, "nothing to rebuild"),
    ({"model": "eyes"}, 409, "needs an embedder"),
    ({"model": "research"}, 409, "not plainly permissive"),
    ({"model": "new", "detector": "nobodys"}, 404, "no model nobodys"),
    ({"model": "new", "detector": "old"}, 409, "needs a detector"),
    ({"model": "new", "detector": "research-eyes"}, 409, "not plainly permissive"),
    ({"model": "new", "detector": "eyes", "source": "chips"}, 422, "finds other chips"),
    ({"model": "new", "source": "air"}, 422, "source"),
    ({"model": "new", "min_rank1": 1.5}, 422, "min_rank1"),
    ({"model": "new", "max_loss": float("nan")}, 422, "NaN is no number"),
    ({"model": "new", "magic": 1}, 422, "magic"),
    ({"model": "new", "collection": "nobodys"}, 404, "no collection nobodys"),
]


def test_what_cannot_be_rebuilt_to_is_refused_with_a_sentence(door: Door) -> None:
    with door.catalog.transaction() as session:
        embedder(session, "research", "Non-commercial")
        embedder(session, "eyes", kind="detector")
        embedder(session, "research-eyes", "Non-commercial", kind="detector")

    for body, status, said in REFUSED:
        answer = door.post("/v1/rebuilds", body)
        assert (answer.status_code, said in answer.get_json()["detail"]) == (status, True), (body, answer.get_json())

    assert door.send("GET", "/v1/rebuilds").get_json()["items"] == []


def test_a_detector_alone_or_the_raw_photos_alone_are_enough(door: Door) -> None:
    with door.catalog.transaction() as session:
        embedder(session, "eyes", kind="detector")

    for body in ({"detector": "eyes"}, {"source": "raw"}, {"detector": "mtcnn", "source": "raw"}):
        answer = door.post("/v1/rebuilds", body)
        assert answer.status_code == 202, answer.get_json()
        told = door.show(answer.get_json()["rebuild"])
        assert (told["model"], told["detector"]) == ("old", body.get("detector", "mtcnn"))
        door.verb(told["id"], "cancel")


def test_a_collection_has_one_rebuild_under_way(door: Door) -> None:
    first = door.begin()

    second = door.post("/v1/rebuilds", {"model": "new"})
    door.verb(first, "cancel")

    assert (second.status_code, first in second.get_json()["detail"]) == (409, True)
    assert door.begin() != first


def test_the_same_request_under_one_key_begins_one_rebuild(door: Door) -> None:
    key = {"Idempotency-Key": secrets.token_hex(8)}

    first, second = (door.post("/v1/rebuilds", {"model": "new"}, headers=key) for _ in range(2))
    other = door.post("/v1/rebuilds", {"model": "new", "switch": "manual"}, headers=key)

    assert (first.status_code, second.status_code, other.status_code) == (202, 202, 409)
    assert first.get_json() == second.get_json()


def test_reading_asking_and_deciding_need_their_own_scopes(door: Door) -> None:
    rebuild = door.begin()
    with door.catalog.transaction() as session:
        by_scope = {scope: keys.issue(session, scope, [scope])[1] for scope in ("read", "search", "manage", "train")}

    def status(scope: str, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        headers = {"Authorization": f"Bearer {by_scope[scope]}"}
        return door.http.open(path, method=method, headers=headers, json=body).status_code

    assert status("read", "GET", f"/v1/rebuilds/{rebuild}") == 200
    assert status("read", "GET", f"/v1/rebuilds/{rebuild}/findings") == 200
    assert status("search", "GET", "/v1/rebuilds") == 403
    assert status("train", "POST", "/v1/rebuilds", {"model": "new"}) == 403
    assert status("manage", "POST", f"/v1/rebuilds/{rebuild}/cancel") == 403
    assert status("manage", "POST", f"/v1/rebuilds/{rebuild}/findings/1/decide", {"candidate": None}) == 404
    assert status("read", "POST", f"/v1/rebuilds/{rebuild}/findings/1/decide", {"candidate": None}) == 403


def test_what_a_state_does_not_allow_is_a_conflict_that_names_it(door: Door) -> None:
    rebuild = door.begin()
    planning = {verb: door.verb(rebuild, verb) for verb in ("pause", "resume", "switch", "rollback")}
    report = door.send("GET", f"/v1/rebuilds/{rebuild}/report")
    gone = door.verb("reb_0", "pause")

    assert {verb: answer.status_code for verb, answer in planning.items()} == dict.fromkeys(planning, 409)
    assert all("is planning" in answer.get_json()["detail"] for answer in planning.values())
    assert (report.status_code, gone.status_code) == (404, 404)
    cancelled = door.verb(rebuild, "cancel").get_json()
    assert (cancelled["state"], cancelled["settled"]) == ("cancelled", True)
    assert door.verb(rebuild, "cancel").status_code == 409


def test_a_rebuild_is_paused_and_goes_on(door: Door) -> None:
    rebuild = door.begin()
    door.made(rebuild, "embedding")

    paused = door.verb(rebuild, "pause").get_json()
    again = door.send("POST", f"/v1/rebuilds/{rebuild}/resume").get_json()  # Without a body.

    broken = door.send("POST", f"/v1/rebuilds/{rebuild}/switch", data=b"{", content_type="application/json")

    assert broken.status_code == 422
    assert (paused["state"], paused["settled"]) == ("paused", False)
    assert again["state"] == "embedding"


def test_where_everybody_is_ready_the_request_itself_switches(door: Door) -> None:
    rebuild = door.begin(switch="manual")
    door.made(rebuild)

    switched = door.verb(rebuild, "switch").get_json()
    active = door.send("GET", "/v1/collections/default").get_json()["model"]
    back = door.verb(rebuild, "rollback").get_json()
    before = door.send("GET", "/v1/collections/default").get_json()["model"]
    forth = door.verb(rebuild, "switch").get_json()

    assert (switched["state"], switched["settled"], switched["before"]["kept"]) == ("switched", True, True)
    assert switched["switched_at"] is not None
    assert (active, back["state"], before, forth["state"]) == ("new", "rolled_back", "old", "switched")


def test_a_switch_names_the_processes_that_it_waits_for(door: Door) -> None:
    rebuild = door.begin(switch="manual")
    door.made(rebuild)
    with door.catalog.transaction() as session:
        processes.beat(session, "searcher-1", kind="searcher", host="here", pid=1, details={"replicas": []})

    waits = door.verb(rebuild, "switch").get_json()
    told = door.show(rebuild)
    with door.catalog.transaction() as session:
        processes.gone(session, "searcher-1")
    again = door.verb(rebuild, "switch").get_json()

    assert (waits["state"], waits["waiting_for"]) == ("switching", ["searcher-1"])
    assert told["waiting_for"] == ["searcher-1"]
    assert (again["state"], again["waiting_for"]) == ("switched", [])


def test_what_the_policy_stopped_is_switched_to_only_by_saying_so(door: Door) -> None:
    rebuild = door.begin()
    door.made(rebuild, "stopped")

    stopped = door.show(rebuild)
    refused = door.verb(rebuild, "switch")
    done = door.verb(rebuild, "switch", {"despite_policy": True}).get_json()

    assert (stopped["settled"], stopped["error"]) == (True, "Rank-1 falls too far.")
    assert (refused.status_code, "despite_policy" in refused.get_json()["detail"]) == (409, True)
    assert done["state"] == "switched"


def test_one_that_was_rolled_back_waits_for_the_one_under_way(door: Door) -> None:
    first = door.begin(switch="manual")
    door.made(first)
    door.verb(first, "switch")
    door.verb(first, "rollback")
    with door.catalog.transaction() as session:
        embedder(session, "third")
    second = door.begin("third")

    refused = door.verb(first, "switch")

    assert (refused.status_code, second in refused.get_json()["detail"]) == (409, True)


def test_the_report_is_a_page_for_people_and_figures_for_programs(door: Door, photo_store: PhotoStore) -> None:
    rebuild = door.begin(switch="manual")
    door.made(rebuild)
    photo_store.put(photo_keys.report(door.show(rebuild)["comparison_job"], "report.html"), b"<html>")

    figures = door.send("GET", f"/v1/rebuilds/{rebuild}/report", headers={"Accept": "application/json"})
    page = door.send("GET", f"/v1/rebuilds/{rebuild}/report", headers={"Accept": "text/html"})

    assert figures.get_json() == COMPARISON
    assert (page.data, page.mimetype) == (b"<html>", "text/html")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert door.show(rebuild)["has_report"] is True


def test_findings_are_paged_by_kind_and_decided_once(door: Door) -> None:
    rebuild = door.begin(switch="manual")
    with door.catalog.transaction() as session:
        row = rebuilds.by_public_id(session, rows.gallery(session).id, rebuild)
        for number in range(3):
            findings.note(session, row, "kept", photo="pho_1", face=f"fac_{number}")
        findings.note(session, row, "missing", photo="pho_2", object_key="photos/1/pho_2")

    path = f"/v1/rebuilds/{rebuild}/findings"
    first = door.send("GET", f"{path}?kind=kept&limit=2").get_json()
    second = door.send("GET", f"{path}?kind=kept&limit=2&cursor={first['next_cursor']}").get_json()
    decided = door.post(f"{path}/{first['items'][0]['number']}/decide", {"candidate": None})

    assert [one["face_id"] for one in first["items"] + second["items"]] == ["fac_0", "fac_1", "fac_2"]
    assert second["next_cursor"] is None
    assert door.show(rebuild)["findings"] == {"kept": 3, "missing": 1}
    assert (decided.status_code, "ambiguous" in decided.get_json()["detail"]) == (409, True)
    assert door.send("GET", f"{path}?kind=odd").status_code == 422
    assert door.post(f"{path}/1/decide").status_code == 422  # Not to say is not to say: none.


def events(answer: TestResponse) -> list[tuple[str, str]]:
    """Kind and id of each event of a stream that has ended."""
    blocks = [block.splitlines() for block in answer.get_data(as_text=True).split("\n\n") if block.startswith("id: ")]
    return [(lines[1].removeprefix("event: "), lines[0].removeprefix("id: ")) for lines in blocks]


def test_events_go_on_after_the_last_one_that_was_seen(door: Door) -> None:
    rebuild = door.begin(switch="manual")
    door.made(rebuild)
    path = f"/v1/rebuilds/{rebuild}/events"

    first = events(door.send("GET", path))
    again = events(door.send("GET", path, headers={"Last-Event-ID": first[-1][1]}))
    door.verb(rebuild, "switch")
    later = events(door.send("GET", path, headers={"Last-Event-ID": first[-1][1]}))
    unknown = events(door.send("GET", path, headers={"Last-Event-ID": "what?"}))

    assert [kind for kind, _ in first] == ["state", "end"]
    assert [kind for kind, _ in again] == ["end"]
    assert [kind for kind, _ in later] == ["state", "end"]
    assert [kind for kind, _ in unknown] == ["state", "end"]


def test_events_tell_of_progress_as_it_comes(door: Door) -> None:
    rebuild = door.begin(switch="manual")
    door.made(rebuild, "embedding")
    stream = door.send("GET", f"/v1/rebuilds/{rebuild}/events", buffered=False).iter_encoded()

    def heard() -> str:
        return next(part for part in map(bytes.decode, stream) if part.startswith("id:")).splitlines()[1]

    begun = heard()
    with door.catalog.transaction() as session:
        row = rebuilds.by_public_id(session, rows.gallery(session).id, rebuild)
        session.add(Chunk(rebuild_id=row.id, kind="chips", first_id=1, last_id=9, total=9, faces=9, state="done"))
    progressed = heard()
    door.verb(rebuild, "cancel")
    cancelled, ended = heard(), heard()

    assert [begun, progressed] == ["event: state", "event: progress"]
    assert [cancelled, ended] == ["event: state", "event: end"]


def test_a_collection_with_photos_comes_to_an_activated_model_by_a_rebuild(door: Door) -> None:
    activated = door.post("/v1/models/new/activate").get_json()
    again = door.post("/v1/models/new/activate").get_json()
    other = door.post("/v1/models/old/activate").get_json()

    told = door.show(activated["rebuild"])
    assert (activated["state"], told["model"], told["switch"]) == ("active", "new", "auto")
    assert again["rebuild"] == activated["rebuild"]
    assert other["rebuild"] is None  # The collection uses it.


def test_activating_something_else_meanwhile_changes_nothing(door: Door) -> None:
    with door.catalog.transaction() as session:
        embedder(session, "third")
    door.post("/v1/models/new/activate")

    refused = door.post("/v1/models/third/activate")

    assert refused.status_code == 409
    assert door.send("GET", "/v1/models/new").get_json()["state"] == "active"


def test_an_empty_collection_takes_an_activated_model_and_detector_at_once(door: Door) -> None:
    with door.catalog.transaction() as session:
        embedder(session, "eyes", kind="detector")
        collections.create(session, "empty")

    answers = [door.post(f"/v1/models/{name}/activate?collection=empty").get_json() for name in ("new", "eyes")]
    default = door.post("/v1/models/eyes/activate").get_json()["rebuild"]

    told = door.send("GET", "/v1/collections/empty").get_json()
    assert [answer["rebuild"] for answer in answers] == [None, None]
    assert (told["model"], told["detector"]) == ("new", "eyes")
    assert door.show(default)["detector"] == "eyes"


def kept(door: Door) -> str:
    """A rebuild that was switched to; the model before is kept."""
    rebuild = door.begin(switch="manual")
    door.made(rebuild)
    door.verb(rebuild, "switch")
    return rebuild


def test_pruning_frees_what_is_kept_and_ends_the_way_back(door: Door) -> None:
    rebuild = kept(door)

    held = door.send("GET", "/v1/models/old").get_json()["generations"]
    pruned = door.post("/v1/models/old/prune").get_json()
    back = door.verb(rebuild, "rollback")
    again = door.post("/v1/models/old/prune")

    assert [(one["collection"], one["state"], one["active"]) for one in held] == [("default", "prepared", False)]
    assert (pruned["collections"], pruned["gone"], pruned["files"]) == (["default"], False, 0)
    assert (back.status_code, "freed" in back.get_json()["detail"]) == (409, True)
    assert (again.status_code, "Retire it first" in again.get_json()["detail"]) == (409, True)


def test_what_was_rolled_back_and_pruned_is_not_switched_to_again(door: Door) -> None:
    rebuild = kept(door)
    door.verb(rebuild, "rollback")

    door.post("/v1/models/new/prune")

    told = door.show(rebuild)
    assert (told["state"], told["settled"]) == ("pruned", True)
    assert door.verb(rebuild, "switch").status_code == 409


def test_what_a_rebuild_under_way_makes_is_not_pruned(door: Door) -> None:
    rebuild = door.begin(switch="manual")
    door.made(rebuild)

    refused = door.post("/v1/models/new/prune")

    assert (refused.status_code, rebuild in refused.get_json()["detail"]) == (409, True)
    assert door.show(rebuild)["state"] == "ready"


def test_a_model_in_use_says_by_what(door: Door) -> None:
    rebuild = door.begin()
    with door.catalog.transaction() as session:
        models.set_state(session, models.by_public_id(session, "new"), "retired")

    refused = door.post("/v1/models/new/prune")

    assert (refused.status_code, f"rebuild {rebuild}" in refused.get_json()["detail"]) == (409, True)


def test_a_model_that_nothing_uses_goes_with_the_rebuilds_to_it_that_have_ended(door: Door) -> None:
    rebuild = door.begin()
    door.verb(rebuild, "cancel")
    door.post("/v1/models/new/retire")

    pruned = door.post("/v1/models/new/prune").get_json()

    assert (pruned["gone"], pruned["embeddings"], pruned["collections"]) == (True, 0, [])
    assert door.send("GET", "/v1/models/new").status_code == 404
    assert door.send("GET", f"/v1/rebuilds/{rebuild}").status_code == 404


def test_status_tells_of_the_rebuild_under_way(door: Door) -> None:
    rebuild = door.begin()

    [told] = door.send("GET", "/v1/status").get_json()["collections"]

    assert (told["rebuild"]["id"], told["rebuild"]["state"]) == (rebuild, "planning")
    assert [one["active"] for one in told["generations"]] == [True]
