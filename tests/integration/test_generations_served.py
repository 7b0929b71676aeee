"""Every search is answered wholly from one generation, whatever is prepared, switched or rolled back meanwhile."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from services.catalog import collections
from services.catalog.engine import Catalog
from services.catalog.running import processes, readiness
from services.catalog.schema import Generation
from services.photos.store import PhotoStore
from tests.integration.serving import Answer, Serving, people_of
from tests.stack import Stack
from tests.unit.services.test_calibrated import CURVES
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SWITCHES = 24


@pytest.fixture
def serving(
    catalog: Catalog,
    with_models: PhotoStore,
    valkey: str,
    servers: Stack,
    tmp_path: Path,
    default_models: Path,
    examples: Path,
) -> Serving:
    """Four people in one generation; nobody answers yet."""
    return Serving(catalog, with_models, valkey, servers.photo_settings(), tmp_path, default_models, examples)


def held_by_searchers(serving: Serving) -> list[set[int]]:
    """The generations that each running searcher tells of."""
    with serving.catalog.reading() as session:
        running = [process for process in processes.running(session) if process.kind == "searcher"]
        return [{replica["generation"] for replica in process.details["replicas"]} for process in running]


def unready(serving: Serving, generation: int) -> list[str]:
    with serving.catalog.reading() as session:
        return readiness.unready(session, session.get_one(Generation, generation))


def asked_meanwhile(ask: Callable[[], Answer], arrived: Callable[[], bool], meanwhile: Callable[[], None]) -> Answer:
    """What was answered to a question that was under way when *meanwhile* was done."""
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(ask)
        eventually(arrived)
        meanwhile()
        return answer.result(60)


def test_every_searcher_has_a_generation_once_it_is_prepared_and_says_so(serving: Serving) -> None:
    with serving.searching(2):
        eventually(lambda: held_by_searchers(serving) == [{serving.before}] * 2)
        made = serving.begin(serving.other_model())
        serving.embed(made)
        assert len(unready(serving, made)) == 2  # Nobody has what is being built.

        serving.prepare(made)

        eventually(lambda: unready(serving, made) == [])
        assert held_by_searchers(serving) == [{serving.before, made}] * 2
        serving.switch(made)
        assert unready(serving, serving.before) == []  # The way back is open.


@pytest.mark.parametrize("new_round", [False, True], ids=["same detection", "another detection"])
def test_each_generation_answers_from_its_own_vectors(serving: Serving, *, new_round: bool) -> None:
    made = serving.another(new_round=new_round)
    answers: dict[tuple[int, str], dict[str, float]] = {}
    with serving.searching(), serving.looking():
        for generation in (serving.before, made, serving.before, made):
            serving.switch(generation)
            for face in serving.chips:
                answer = serving.search_face(face)
                assert answer["model"] == serving.digest_of(generation)
                assert people_of(answer) == answers.setdefault((generation, face), people_of(answer))
            photo = serving.search_photo()
            assert photo["model"] == serving.digest_of(generation)
            assert people_of(photo) == pytest.approx(answers.setdefault((generation, ""), people_of(photo)))

    for face in serving.chips:
        before, after = answers[serving.before, face], answers[made, face]
        assert next(iter(before)) == next(iter(after))
        assert min(next(iter(before.values())), next(iter(after.values()))) > 0.8
        assert after != pytest.approx(before, abs=0.05)


def test_a_search_that_waits_for_the_searcher_is_answered_from_where_it_began(serving: Serving) -> None:
    made, face = serving.another(new_round=True), next(iter(serving.chips))
    serving.calibrate(serving.before, CURVES)
    with serving.searching():
        quiet = serving.search_face(face)

    with ExitStack() as later:

        def switch_and_search() -> None:
            serving.switch(made)
            later.enter_context(serving.searching())

        answer = asked_meanwhile(
            lambda: serving.search_face(face), lambda: serving.waiting("colega:searches") == 1, switch_and_search
        )
        after = serving.search_face(face)

    assert answer["model"] == serving.digest_of(serving.before)
    assert people_of(answer) == people_of(quiet)
    assert answer["faces"][0]["matches"][0]["fmr"] is not None  # By the calibration of where it began.
    assert after["model"] == serving.digest_of(made)
    assert after["faces"][0]["matches"][0]["fmr"] is None
    assert answer["faces"][0]["matches"][0]["face_id"] == after["faces"][0]["matches"][0]["face_id"]


def test_a_photo_that_waits_for_a_worker_is_answered_from_where_it_began(serving: Serving) -> None:
    made = serving.another()
    with serving.searching(), ExitStack() as later:
        with serving.looking():
            quiet = serving.search_photo()

        def switch_and_look() -> None:
            serving.switch(made)
            later.enter_context(serving.looking())

        answer = asked_meanwhile(serving.search_photo, lambda: serving.waiting("interactive") == 1, switch_and_look)
        after = serving.search_photo()

    assert answer["model"] == quiet["model"]
    assert people_of(answer) == pytest.approx(people_of(quiet))
    assert after["model"] == serving.digest_of(made)


def test_comparisons_and_lists_of_who_is_alike_keep_to_one_generation_too(serving: Serving) -> None:
    made = serving.another(new_round=True)
    one, other, *_ = serving.chips
    told = {}
    with serving.searching():
        for generation in (serving.before, made):
            serving.switch(generation)
            pair = serving.ask(
                "POST", "/v1/verify", json={"face_id_a": one, "face_id_b": other}, query_string={"threshold": 0.5}
            )
            alike = serving.ask("GET", "/v1/people/alike?threshold=0.001")
            assert {pair["model"], alike["model"]} == {serving.digest_of(generation)}
            told[generation] = pair["similarity"], [item["similarity"] for item in alike["items"]]

    assert told[made][0] != pytest.approx(told[serving.before][0], abs=0.01)
    assert told[made][1] != pytest.approx(told[serving.before][1], abs=0.01)


def test_no_search_fails_and_none_mixes_while_one_generation_after_the_other_is_switched_to(serving: Serving) -> None:
    made = serving.another(new_round=True)
    faces = list(serving.chips)
    with serving.searching():
        expected = {}
        for generation in (made, serving.before):
            serving.switch(generation)
            for face in faces:
                expected[serving.digest_of(generation), face] = people_of(serving.search_face(face))
        ended, seen = threading.Event(), list[tuple[str, bool]]()

        def search() -> None:
            while not ended.is_set():
                for face in faces:
                    answer = serving.search_face(face)
                    seen.append((answer["model"], people_of(answer) == expected[answer["model"], face]))

        with ThreadPoolExecutor(4) as threads:
            searches = [threads.submit(search) for _ in range(4)]
            for turn in range(SWITCHES):
                so_far = len(seen)
                serving.switch((made, serving.before)[turn % 2])
                eventually(lambda so_far=so_far: len(seen) > so_far + 8 or any(s.done() for s in searches))  # type: ignore[misc]
            ended.set()
            for each in searches:
                each.result(60)

    assert {model for model, _ in seen} == {serving.digest_of(made), serving.digest_of(serving.before)}
    assert all(is_whole for _, is_whole in seen)


def test_status_names_the_generations_who_holds_them_and_who_is_waited_for(serving: Serving) -> None:
    made = serving.begin(serving.other_model())
    serving.embed(made)
    with serving.searching():
        eventually(lambda: held_by_searchers(serving) == [{serving.before}])
        building = _collection(serving)
        serving.prepare(made)
        eventually(lambda: unready(serving, made) == [])
        prepared = _collection(serving)

    assert [(g["model"], g["state"], g["active"]) for g in building["generations"]] == [
        ("casia-webface", "prepared", True),
        ("other", "building", False),
    ]
    assert [(g["state"], g["unready"]) for g in prepared["generations"]] == [("prepared", []), ("prepared", [])]
    assert {(r["model"], r["active"], r["faces"]) for r in prepared["replicas"]} == {
        ("casia-webface", True, 5),
        ("other", False, 5),
    }


def _collection(serving: Serving) -> Answer:
    galleries: list[Answer] = serving.ask("GET", "/v1/status")["collections"]
    return next(gallery for gallery in galleries if gallery["name"] == collections.DEFAULT)
