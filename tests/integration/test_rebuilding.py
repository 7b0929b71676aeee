"""Rebuilds from stored chips, step by step on both databases, with real photos and two small models."""

from pathlib import Path

import pytest
from sqlalchemy import select

from services.catalog import faces, people
from services.catalog.importing import jobs
from services.catalog.rebuilding import chunks, rebuilds
from services.catalog.tables.rebuild import Chunk, Rebuild
from services.errors import Conflict
from tests.integration.catalog import rows
from tests.integration.rebuilding import AGREES, Died, Gallery
from workers.rebuild import planning

pytestmark = pytest.mark.slow


def test_every_face_is_embedded_once_and_nothing_else_changes(rebuilt: Gallery) -> None:
    before, log = rebuilt.faces(), rebuilt.log()

    rebuild = rebuilt.begin()
    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)

    assert rebuilt.faces(rebuilt.made(rebuild)) == before
    assert rebuilt.log() == [*log, "prepare"]
    assert rebuilt.plan(rebuild)["source"] == planning.CHIPS
    vectors = rebuilt.vectors(rebuilt.made(rebuild))
    assert {len(vector) for vector in vectors.values()} == {2 * 192}
    for face, vector in vectors.items():
        assert rebuilt.cosine(rebuilt.embedded_again("new", face), vector) > 0.9999


def test_the_plan_says_what_there_is_and_what_it_takes(rebuilt: Gallery) -> None:
    plan = rebuilt.plan(rebuilt.begin())

    assert (plan["faces"], plan["photos"], plan["missing"], plan["dimension"]) == (5, 5, 0, 192)
    assert plan["seconds_each"] > 0
    assert plan["memory_bytes"] >= 5 * 192 * 2
    assert plan["catalog_bytes"] > 5 * 192 * 2


def test_photos_taken_in_while_it_is_built_are_in_both_generations(rebuilt: Gallery, examples: Path) -> None:
    rebuild = rebuilt.begin()
    rebuilt.conduct()
    rebuilt.work(rebuild, at_most=1)

    rebuilt.enrol([examples / "queries" / "one.jpg"])
    rebuilt.embed(rebuild)

    assert rebuilt.faces(rebuilt.made(rebuild)) == rebuilt.faces()
    assert len(rebuilt.faces()) == 6


def test_what_is_deleted_while_it_is_built_is_in_neither(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin()
    rebuilt.conduct()
    rebuilt.work(rebuild, at_most=1)

    with rebuilt.catalog.transaction() as session:
        [erased] = people.by_name(session, rows.gallery(session).id, "Barack Obama")
        people.delete(session, erased)
    rebuilt.embed(rebuild)

    assert rebuilt.faces(rebuilt.made(rebuild)) == rebuilt.faces()
    assert len(rebuilt.faces()) == 3


def test_a_face_deleted_between_claim_and_write_is_passed_over(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin()
    rebuilt.conduct()
    gone = rebuilt.faces()[0][0]

    def passed(moment: str) -> None:
        if moment == "embedded":
            with rebuilt.catalog.transaction() as session:
                faces.delete(session, faces.by_public_id(session, rows.gallery(session).id, gone))

    rebuilt.work(rebuild, tools=rebuilt.tools_that(passed))
    rebuilt.embed(rebuild)

    assert rebuilt.faces(rebuilt.made(rebuild)) == rebuilt.faces()
    assert gone not in rebuilt.vectors(rebuilt.made(rebuild))


@pytest.mark.parametrize("moment", ["claimed", "embedded", "committed"])
def test_a_worker_that_dies_over_a_chunk_loses_and_doubles_nothing(rebuilt: Gallery, moment: str) -> None:
    rebuild = rebuilt.begin()
    rebuilt.conduct()

    with pytest.raises(Died):
        rebuilt.work(rebuild, tools=rebuilt.dying_at(moment))
    rebuilt.claims_expire()
    rebuilt.embed(rebuild)

    assert rebuilt.faces(rebuilt.made(rebuild)) == rebuilt.faces()


def test_a_killer_chunk_is_halved_until_the_killer_is_alone_and_left_out(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin()
    rebuilt.conduct()
    killer = rebuilt.faces()[2][0]

    deaths = 0
    while deaths < 20:
        try:
            rebuilt.work(rebuild, tools=rebuilt.tools_that(lambda moment: rebuilt.dies_over(killer, rebuild, moment)))
            break
        except Died:
            deaths += 1
            rebuilt.claims_expire()
    rebuilt.conduct()

    assert rebuilt.found(rebuild) == [("crashed", killer)]
    assert rebuilt.state(rebuild) == "failed"
    assert "1 crashed" in rebuilt.error(rebuild)
    assert deaths <= 3 + chunks.ALONE_AT_MOST
    rebuilt.resume(rebuild, skip_missing=True)
    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)
    assert len(rebuilt.vectors(rebuilt.made(rebuild))) == len(rebuilt.faces())  # Tried again, it went well.


def test_a_chunk_that_somebody_else_has_ended_is_thrown_away(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin()
    rebuilt.conduct()

    def passed(moment: str) -> None:
        if moment == "embedded":
            rebuilt.claims_expire()
            rebuilt.work(rebuild)

    rebuilt.work(rebuild, at_most=1, tools=rebuilt.tools_that(passed))
    rebuilt.embed(rebuild)

    assert rebuilt.faces(rebuilt.made(rebuild)) == rebuilt.faces()
    with rebuilt.catalog.reading() as session:
        assert sum(session.scalars(select(Chunk.faces))) == 5


def test_a_paused_rebuild_waits_and_goes_on(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin()
    rebuilt.conduct()
    with rebuilt.catalog.transaction() as session:
        rebuilds.pause(session, session.get_one(Rebuild, rebuild))

    assert rebuilt.work(rebuild) == 0
    rebuilt.conduct()
    assert rebuilt.state(rebuild) == "paused"
    rebuilt.resume(rebuild)

    assert rebuilt.embed(rebuild) == "comparing"


def test_a_cancelled_rebuild_leaves_what_is_searched_as_it_was(rebuilt: Gallery) -> None:
    before = rebuilt.active(), rebuilt.faces()
    rebuild = rebuilt.begin()
    rebuilt.conduct()

    def passed(moment: str) -> None:
        if moment == "embedded":
            with rebuilt.catalog.transaction() as session:
                rebuilds.cancel(session, session.get_one(Rebuild, rebuild))

    rebuilt.work(rebuild, tools=rebuilt.tools_that(passed))

    assert rebuilt.state(rebuild) == "cancelled"
    assert (rebuilt.active(), rebuilt.faces()) == before
    assert rebuilt.vectors(rebuilt.made(rebuild)) == {}


def test_cancelling_a_rebuild_that_is_compared_cancels_the_comparison(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin()
    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)

    with rebuilt.catalog.transaction() as session:
        row = session.get_one(Rebuild, rebuild)
        rebuilds.cancel(session, row)
        compared = jobs.by_public_id(session, row.collection_id, row.comparison_job or "")
        assert jobs.progress(session, compared).state == "cancelled"

    rebuilt.conduct()
    assert rebuilt.state(rebuild) == "cancelled"


def test_a_lost_chip_is_cut_again_from_the_raw_photo_and_stored(rebuilt: Gallery) -> None:
    face, chip_key, _ = rebuilt.chips()[1]
    as_it_was = rebuilt.tools.store.get(chip_key)
    damaged = rebuilt.chips()[2]
    rebuilt.tools.store.delete(chip_key)
    rebuilt.tools.store.put(damaged[1], b"not a picture")

    rebuild = rebuilt.begin()
    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)

    assert (rebuilt.plan(rebuild)["source"], rebuilt.plan(rebuild)["cut_again"]) == (planning.MIXED, 1)
    assert rebuilt.tools.store.get(chip_key) == as_it_was
    vectors = rebuilt.vectors(rebuilt.made(rebuild))
    assert {face, damaged[0]} < vectors.keys()
    assert rebuilt.found(rebuild) == []


def test_what_has_neither_chip_nor_photo_is_listed_refused_and_skipped_when_asked(rebuilt: Gallery) -> None:
    face, chip_key, photo_key = rebuilt.chips()[1]
    rebuilt.tools.store.delete_many([chip_key, photo_key])

    refused = rebuilt.begin()
    assert (rebuilt.state(refused), rebuilt.found(refused)) == ("failed", [("missing", face)])
    assert "--skip-missing" in rebuilt.error(refused)
    assert len(rebuilt.active()[2]) == 1
    rebuilt.resume(refused, skip_missing=True)
    planning.plan(refused, rebuilt.tools)
    assert rebuilt.embed(refused) == "comparing", rebuilt.error(refused)

    assert {row[0] for row in rebuilt.faces(rebuilt.made(refused)) if not row[3]} == {face}
    assert rebuilt.compare(refused) == "ready"
    assert rebuilt.switch(refused) == "switched"


def test_a_chip_lost_after_the_plan_stops_the_switch_until_it_is_back(rebuilt: Gallery) -> None:
    face, chip_key, photo_key = rebuilt.chips()[1]
    rebuild = rebuilt.begin()
    kept = {key: rebuilt.tools.store.get(key) for key in (chip_key, photo_key)}
    rebuilt.tools.store.delete_many(kept)

    assert rebuilt.embed(rebuild) == "failed"
    assert rebuilt.found(rebuild) == [("missing", face)]
    for key, data in kept.items():
        rebuilt.tools.store.put(key, data)
    rebuilt.resume(rebuild)

    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)
    assert rebuilt.faces(rebuilt.made(rebuild)) == rebuilt.faces()


def test_what_compares_well_is_switched_to_by_itself(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin(switch="auto")
    rebuilt.embed(rebuild)

    assert rebuilt.compare(rebuild) == "switched", rebuilt.error(rebuild)
    assert rebuilt.active()[0] == rebuilt.made(rebuild)


def test_what_the_policy_stops_is_not_switched_to(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin(switch="auto", min_rank1=0.9)
    rebuilt.embed(rebuild)
    first = rebuilt.active()[0]
    rank1 = {"before": 0.9, "after": 0.5, "difference": -0.4, "difference_interval": None}
    worse = {**AGREES, "accuracy": {**AGREES["accuracy"], "rank1": rank1}}

    assert rebuilt.compare(rebuild, worse) == "stopped"
    assert rebuilt.active()[0] == first
    with rebuilt.catalog.transaction() as session, pytest.raises(Conflict):
        rebuilds.ask_to_switch(session, session.get_one(Rebuild, rebuild))


def test_a_rollback_is_instant_and_keeps_the_assignments_made_meanwhile(rebuilt: Gallery, examples: Path) -> None:
    first = rebuilt.active()[0]
    rebuild = rebuilt.ready()
    assert rebuilt.switch(rebuild) == "switched"

    rebuilt.enrol([examples / "queries" / "one.jpg"])
    moved = rebuilt.faces()[0][0]
    with rebuilt.catalog.transaction() as session:
        collection = rows.gallery(session)
        somebody = people.ensure(session, collection.id, "Somebody New")
        faces.assign(session, faces.by_public_id(session, collection.id, moved), somebody)
    after = rebuilt.faces()
    with rebuilt.catalog.transaction() as session:
        rebuilds.roll_back(session, session.get_one(Rebuild, rebuild))

    assert rebuilt.active()[0] == first
    assert rebuilt.faces() == after
    assert (moved, "Somebody New", "hand", True) in after
    assert rebuilt.switch(rebuild) == "switched"
    assert rebuilt.faces() == after


def test_a_model_that_was_kept_is_compared_and_switched_to_without_embedding(rebuilt: Gallery) -> None:
    assert rebuilt.switch(rebuilt.ready()) == "switched"

    back = rebuilt.begin("old")

    assert (rebuilt.state(back), rebuilt.plan(back)["source"]) == ("comparing", planning.NONE)
    assert rebuilt.compare(back) == "ready"
    assert rebuilt.switch(back) == "switched"


def test_a_failed_comparison_leaves_the_rebuild_to_be_resumed(rebuilt: Gallery) -> None:
    rebuild = rebuilt.begin()
    rebuilt.embed(rebuild)
    rebuilt.fail_comparison(rebuild)

    rebuilt.conduct()
    assert rebuilt.state(rebuild) == "failed"
    assert "no memory" in rebuilt.error(rebuild)
    rebuilt.resume(rebuild)
    assert rebuilt.embed(rebuild) == "comparing", rebuilt.error(rebuild)

    assert rebuilt.compare(rebuild) == "ready"


def test_what_a_failed_rebuild_has_made_is_gone_on_with_by_the_next_one(rebuilt: Gallery) -> None:
    _, chip_key, photo_key = rebuilt.chips()[1]
    failed = rebuilt.begin()
    rebuilt.tools.store.delete_many([chip_key, photo_key])
    assert rebuilt.embed(failed) == "failed"
    made = rebuilt.made(failed)

    again = rebuilt.begin(skip_missing=True)

    assert rebuilt.made(again) == made
    assert rebuilt.embed(again) == "comparing", rebuilt.error(again)
    assert sum(row[3] for row in rebuilt.faces(made)) == 4


def test_whoever_conducts_asks_as_many_workers_as_there_are_and_no_more(rebuilt: Gallery) -> None:
    rebuilt.ask()

    for _ in range(3):
        rebuilt.conduct()
    assert rebuilt.queue.depths()["rebuild"] == 1
