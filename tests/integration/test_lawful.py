"""Nobody is enrolled without a lawful basis where one is required, and without their consent where that is the basis."""

import io
import json
import secrets
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from services.broker.app import celery_app
from services.broker.requests import Asking
from services.broker.send import Queue
from services.broker.waking import Waking
from services.catalog import keys, people
from services.catalog.engine import Catalog
from services.catalog.privacy import consents
from services.catalog.privacy.consents import Given
from services.catalog.schema import Item, Job, Person
from services.catalog.tables.privacy import Consent, Erasure
from services.gateway.app import create_app
from services.gateway.doors import Gateway
from services.photos.store import PhotoStore
from services.settings.service import GatewaySettings, Limits
from services.vault import Vault
from tests import gatewayed
from tests.integration.catalog import rows
from workers import unpacking

BASIS = {
    "basis": "consent",
    "purpose": "The door",
    "notice": {"version": "1", "text": "We recognise faces at the door."},
}


@dataclass
class Door:
    """A gateway that requires a basis."""

    catalog: Catalog
    http: FlaskClient
    key: str
    gateway: Gateway
    valkey: str

    def ask(self, method: str, path: str, **more: Any) -> Any:
        return self.http.open(path, method=method, headers={"Authorization": f"Bearer {self.key}"}, **more)

    def based(self, **other: Any) -> None:
        answer = self.ask("PATCH", "/v1/collections/default", json={"basis": BASIS | other})
        assert answer.status_code == 200, told(answer)

    def upload(self, photo: Path, **form: str) -> Any:
        data = {**form, "photo": (io.BytesIO(photo.read_bytes()), photo.name)}
        answer = self.ask("POST", "/v1/photos", data=data)
        assert answer.status_code == 202, told(answer)
        [item] = told(answer)["items"]
        return item

    def people(self) -> list[str]:
        with self.catalog.reading() as session:
            return sorted(session.scalars(select(Person.name)))

    def face(self, name: str | None = None) -> tuple[str, str]:
        """Public ids of a face and of a person, who has it where *name* is given, enrolled before a basis was required."""
        with self.catalog.transaction() as session:
            person = people.ensure(session, rows.gallery(session).id, name or "Somebody")
            face = rows.face(session, rows.photo(session, secrets.token_hex(8)), person if name else None)
            return face.public_id, person.public_id


def told(answer: Any) -> Any:
    """What an answer says."""
    return json.loads(answer.text or "null")


@pytest.fixture
def door(catalog: Catalog, photo_store: PhotoStore, valkey: str, tmp_path: Path) -> Door:
    app = celery_app(valkey)
    with catalog.transaction() as session:
        rows.generation(session, rows.model(session))
        _, key = keys.issue(session, "administrator", ["admin"])
    store = Vault(photo_store, catalog, None)
    gateway = Gateway(
        catalog=catalog,
        store=store,
        probe=photo_store,
        queue=Queue(valkey, app),
        asking=Asking(valkey, app),
        waking=Waking(valkey),
        limits=Limits(),
        settings=GatewaySettings(),
        data=tmp_path,
        spool=tmp_path,
        require_basis=True,
    )
    return Door(catalog, create_app(gateway).test_client(), key, gateway, valkey)


@pytest.fixture
def photo(examples: Path) -> Path:
    return min((examples / "people").rglob("*.jpg"))


Way = Callable[[Door, Path], Any]


def _assign(door: Door, _: Path) -> Any:
    face, person = door.face()
    return door.ask("PATCH", f"/v1/faces/{face}", json={"person_id": person})


def _assign_all(door: Door, _: Path) -> Any:
    return door.ask("POST", "/v1/faces/assign", json={"face_ids": [door.face()[0]], "person": "Newcomer"})


def _merge(door: Door, _: Path) -> Any:
    one, other = door.face("One")[1], door.face("Other")[1]
    return door.ask("POST", f"/v1/people/{one}/merge", json={"into": other})


def _facade(door: Door, photo: Path) -> Any:
    data = {"file": (io.BytesIO(photo.read_bytes()), "a.jpg")}
    path = "/api/v1/recognition/faces?subject=Newcomer"
    return door.http.post(path, headers={"x-api-key": door.key}, data=data)


def _facade_subject(door: Door, _: Path) -> Any:
    path = "/api/v1/recognition/subjects"
    return door.http.post(path, headers={"x-api-key": door.key}, json={"subject": "Newcomer"})


def _person(door: Door, _: Path) -> Any:
    return door.ask("POST", "/v1/people", json={"name": "Newcomer"})


def _person_with_photo(door: Door, photo: Path) -> Any:
    data = {"name": "Newcomer", "photo": (io.BytesIO(photo.read_bytes()), "a.jpg")}
    return door.ask("POST", "/v1/people", data=data)


def _more_photos(door: Door, photo: Path) -> Any:
    data = {"photo": (io.BytesIO(photo.read_bytes()), "a.jpg")}
    return door.ask("POST", f"/v1/people/{door.face()[1]}/photos", data=data)


WAYS: dict[str, Way] = {
    "a face is given to somebody": _assign,
    "a cluster is named": _assign_all,
    "two are merged": _merge,
    "CompreFace's example": _facade,
    "CompreFace's subject": _facade_subject,
    "a person": _person,
    "a person with a photo": _person_with_photo,
    "more photos": _more_photos,
}


def test_no_way_in_leads_to_a_collection_without_a_basis(door: Door, photo: Path) -> None:
    answers = {name: way(door, photo) for name, way in WAYS.items()}

    for name, answer in answers.items():
        assert answer.status_code in {400, 409}, (name, answer.text)
        assert "basis" in answer.text, name
    assert "Newcomer" not in door.people()


def test_no_way_in_leads_past_consent_where_that_is_the_basis(door: Door, photo: Path) -> None:
    door.based()

    answers = {name: way(door, photo) for name, way in WAYS.items()}

    for name, answer in answers.items():
        assert answer.status_code in {400, 409}, (name, answer.text)
        assert "consent" in answer.text, name
    assert "Newcomer" not in door.people()


@pytest.mark.parametrize("way", [_assign_all, _merge, _facade_subject, _person_with_photo])
def test_the_ways_in_are_open_under_another_basis(door: Door, photo: Path, way: Way) -> None:
    door.based(basis="employment_law", notice=None)

    answer = way(door, photo)

    assert answer.status_code < 300, answer.text


def test_photos_are_refused_one_by_one_with_the_reason(door: Door, photo: Path) -> None:
    door.based()

    refused = door.upload(photo, person="Newcomer")
    taken = door.upload(photo, person="Newcomer", consent_given_at="2026-01-31")

    assert (refused["status"], refused["reason"]) == ("rejected", "no_consent")
    assert taken["status"] == "queued"
    with door.catalog.reading() as session:
        [consent] = session.scalars(select(Consent))
        assert (consent.notice_version, consent.notice) == ("1", BASIS["notice"]["text"])  # type: ignore[index]
        assert consent.recorded_by.startswith("key_")


def test_an_archive_brings_those_who_have_agreed_and_no_others(door: Door, examples: Path) -> None:
    door.based()
    archive = io.BytesIO()
    photos = sorted((examples / "people").rglob("*.jpg"))[:3]
    with zipfile.ZipFile(archive, "w") as file:
        for number, one in enumerate(photos):
            file.writestr(f"{number}.jpg", one.read_bytes())
        manifest = (
            "path,person,consent_given_at,consent_notice\n0.jpg,Ana,2026-01-31,1\n1.jpg,Ben,,\n2.jpg,Cem,2026-01-31,9\n"
        )
        file.writestr("manifest.csv", manifest)
    archive.seek(0)
    answer = door.ask("POST", "/v1/imports", data={"archive": (archive, "all.zip")})
    with door.catalog.reading() as session:
        number = session.scalars(select(Job.id).where(Job.public_id == told(answer)["job"])).one()

    gateway = door.gateway
    unpacking.unpack(number, door.catalog, gateway.store, gateway.queue, gateway.limits, require_basis=True)

    with door.catalog.reading() as session:
        ends = session.execute(select(Item.name, Item.state, Item.reason).order_by(Item.name)).all()
    assert [tuple(end) for end in ends] == [
        ("0.jpg", "queued", None),
        ("1.jpg", "rejected", "no_consent"),
        ("2.jpg", "rejected", "no_consent"),
    ]
    assert door.people() == ["Ana"]


def test_the_consent_of_either_of_two_serves_who_remains_and_is_given_back(door: Door) -> None:
    door.based()
    one, other = door.face("One")[1], door.face("Other")[1]
    with door.catalog.transaction() as session:
        consents.record(session, people.by_public_id(session, rows.gallery(session).id, one), Given(), by="key_1")

    merged = door.ask("POST", f"/v1/people/{one}/merge", json={"into": other})

    assert merged.status_code == 200, told(merged)
    assert len(told(door.ask("GET", f"/v1/people/{other}/consent"))["items"]) == 1
    assert door.ask("POST", f"/v1/merges/{told(merged)['merge']}/undo").status_code == 200
    assert len(told(door.ask("GET", f"/v1/people/{one}/consent"))["items"]) == 1
    assert told(door.ask("GET", f"/v1/people/{other}/consent"))["items"] == []


def test_who_withdraws_their_consent_is_erased(door: Door) -> None:
    door.based()
    _, person = door.face("Ana")
    recorded = door.ask("POST", f"/v1/people/{person}/consent", json={"given_at": "2026-01-31T09:00:00+01:00"})
    assert recorded.status_code == 201, told(recorded)

    withdrawn = door.ask("DELETE", f"/v1/people/{person}/consent")

    assert withdrawn.status_code == 200, told(withdrawn)
    assert door.people() == []
    with door.catalog.reading() as session:
        [entry] = session.scalars(select(Erasure))
        assert (entry.cause, entry.person) == ("withdrawn", person)
        assert session.scalars(select(Consent)).all() == []


def test_a_text_that_people_agreed_to_is_never_changed(door: Door) -> None:
    door.based()

    same = door.ask(
        "PATCH", "/v1/collections/default", json={"basis": BASIS | {"notice": {"version": "1", "text": "Other."}}}
    )
    later = door.ask(
        "PATCH", "/v1/collections/default", json={"basis": BASIS | {"notice": {"version": "2", "text": "Other."}}}
    )

    assert same.status_code == 409
    assert told(later)["basis"]["notices"] == ["1", "2"]


@pytest.mark.parametrize(
    "basis",
    [{"basis": "other"}, {"basis": "consent"}, {"basis": "because"}, {"basis": "consent", "notice": {"text": "x"}}],
)
def test_a_basis_that_says_too_little_is_refused(door: Door, basis: dict[str, Any]) -> None:
    answer = door.ask("PATCH", "/v1/collections/default", json={"basis": basis})

    assert answer.status_code == 422


def test_an_end_can_be_set_and_taken_back_and_lies_ahead(door: Door) -> None:
    door.based(basis="employment_law", notice=None)
    made = told(door.ask("POST", "/v1/people", json={"name": "Ana", "expires_at": "2999-12-31"}))

    past = door.ask("PATCH", f"/v1/people/{made['id']}", json={"expires_at": "2001-01-01"})
    never = door.ask("PATCH", f"/v1/people/{made['id']}", json={"expires_at": None})

    assert made["expires_at"].startswith("3000-01-01")
    assert past.status_code == 422
    assert told(never)["expires_at"] is None


def test_a_photo_of_somebody_whose_time_is_over_is_refused(door: Door, photo: Path) -> None:
    door.based(basis="employment_law", notice=None)

    refused = door.upload(photo, person="Ana", expires_at="2001-01-01")

    assert (refused["status"], refused["reason"]) == ("rejected", "expired")
    assert door.people() == []


def test_work_is_not_taken_up_again_for_who_has_not_agreed(door: Door, photo: Path) -> None:
    door.gateway.require_basis = False
    item = door.upload(photo, person="Ana")
    with door.catalog.transaction() as session:
        job = session.scalars(select(Job.public_id)).one()
        session.execute(update(Item).values(state="cancelled"))
    door.gateway.require_basis = True
    door.based()

    again = door.ask("POST", f"/v1/jobs/{job}/retry", json={})
    named = {"photo_id": item["photo_id"], "person": "Ana", "consent_given_at": "2026-01-31"}
    agreed = door.ask("POST", f"/v1/jobs/{job}/retry", json=named)

    assert item["status"] == "queued"
    assert again.status_code == 409
    assert told(again)["type"].endswith("consent-missing")
    assert agreed.status_code == 202, told(agreed)
    with door.catalog.reading() as session:
        assert len(session.scalars(select(Consent)).all()) == 1


def test_the_setting_asks_for_it(tmp_path: Path) -> None:
    with gatewayed.opened(tmp_path, COLEGA_REQUIRE_BASIS="true") as alone, alone.http() as http:
        answer = http.post("/v1/people", json={"name": "Ana"}, headers={"Authorization": f"Bearer {alone.key}"})

    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/basis-missing"
