"""Upgrades on a running system: the schema moves first, and processes of the version before go on beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from services.catalog import migrate as migrating
from services.catalog.engine import Catalog
from services.catalog.migrate import bring_up, is_current, migrate, oldest_beside, upgrade, without_foreign_keys
from services.errors import CannotStart
from tests.integration.catalog import old_code


def _revisions() -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(Path(migrating.__file__).parent / "migrations"))
    return sorted(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())


REVISIONS = _revisions()
FIRST, HEAD = REVISIONS[0], REVISIONS[-1]
ADDING = [each for each in REVISIONS if oldest_beside(each) < each]
"""Those beside which older code goes on."""


@pytest.fixture
def empty(catalog_url: str) -> Iterator[Catalog]:
    """A catalog without a schema."""
    catalog = Catalog(catalog_url)
    yield catalog
    catalog.close()


@pytest.mark.parametrize("newer", ADDING)
def test_statements_of_an_older_schema_work_on_a_newer_one_that_says_so(empty: Catalog, newer: str) -> None:
    _bring(empty, oldest_beside(newer))
    known = old_code.tables(empty)

    _bring(empty, newer)

    with empty.transaction() as session:
        for table in old_code.in_order(known):
            session.execute(table.insert(), old_code.row(table, 1))
            [found] = session.execute(table.select()).all()
            session.execute(
                table.update().values({c.name: found[n] for n, c in enumerate(table.c) if not c.primary_key})
            )
        for table in reversed(list(old_code.in_order(known))):
            session.execute(table.delete())


def test_from_the_first_schema_on_no_row_is_lost(empty: Catalog) -> None:
    _bring(empty, FIRST)
    known = old_code.tables(empty)
    with empty.transaction() as session:
        for table in old_code.in_order(known):
            session.execute(table.insert(), old_code.row(table, 1))

    bring_up(empty)

    assert is_current(empty)
    with empty.reading() as session:
        rows = {
            t.name: session.execute(text(f"SELECT count(*) FROM {t.name}")).scalar_one()
            for t in old_code.in_order(known)
        }
    assert set(rows.values()) == {1}


def test_a_process_of_the_version_before_goes_on_while_the_schema_moves(empty: Catalog, catalog_url: str) -> None:
    _bring(empty, oldest_beside(HEAD))
    known = old_code.tables(empty)
    with empty.transaction() as session:
        for table in old_code.in_order(known):
            session.execute(table.insert(), old_code.row(table, 1))
    old = subprocess.Popen(
        [sys.executable, old_code.__file__, catalog_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert old.stdout is not None
    assert old.stdout.readline() == "ready\n"

    bring_up(empty)
    at_the_end = _people(empty)
    while _people(empty) == at_the_end:
        assert old.poll() is None
    said, _ = old.communicate()

    assert old.returncode == 0
    assert _people(empty) == 1 + int(said)
    assert is_current(empty)


def test_of_two_who_migrate_at_once_one_waits_and_both_end_well(empty: Catalog, catalog_url: str) -> None:
    _bring(empty, FIRST)
    environment = {"PATH": os.environ["PATH"], "COLEGA_CATALOG_URL": catalog_url, "COLEGA_CATALOG_BUSY_S": "60"}
    command = [sys.executable, "-m", "services.catalog.migrate"]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)
    ]

    said = [each.communicate()[0] for each in both]

    assert [each.returncode for each in both] == [0, 0], said
    assert is_current(empty)


def test_this_version_works_on_a_newer_schema_only_if_that_says_so(catalog: Catalog) -> None:
    for beside, suits in ((HEAD, True), (FIRST, True), ("9998", False), (None, False)):
        with catalog.transaction() as session:
            said = {"beside": beside}
            session.execute(text("UPDATE alembic_version SET version_num = '9999', beside = :beside"), said)

        assert is_current(catalog) is suits

    with pytest.raises(CannotStart, match="newer version"):
        migrate(catalog)


def test_the_page_says_which_code_works_beside_which_schema() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "upgrade.md").read_text("utf-8")

    for each in ADDING:
        assert f"| {each} | {oldest_beside(each)} |" in page


def test_an_older_schema_is_not_current(empty: Catalog) -> None:
    _bring(empty, REVISIONS[-2])

    assert not is_current(empty)


def _bring(catalog: Catalog, to: str) -> None:
    with without_foreign_keys(catalog) as connection:
        upgrade(connection, to)
        connection.commit()


def _people(catalog: Catalog) -> int:
    with catalog.reading() as session:
        return int(session.execute(text("SELECT count(*) FROM people")).scalar_one())
