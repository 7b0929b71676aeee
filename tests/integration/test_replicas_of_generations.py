"""A searcher holds every generation that may be switched to, and lets go of what nobody can ask for any more."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from services.catalog import generations, log, people
from services.catalog.engine import Catalog
from services.catalog.running import held
from services.catalog.schema import Collection, Face
from services.errors import NotFound
from tests.integration.catalog import rows
from tests.integration.galleries import Galleries
from tests.waiting import eventually
from workers.serving.replicas import Keeping

pytestmark = pytest.mark.slow


@pytest.fixture
def galleries(catalog: Catalog, tmp_path: Path) -> Iterator[Galleries]:
    made = Galleries(catalog, tmp_path, Keeping(memory_mb=1, snapshot_s=0.05, snapshot_faces=10))
    yield made
    made.close()


def test_what_may_be_switched_to_is_held_before_anybody_asks(galleries: Galleries) -> None:
    made, alone = galleries.gallery("two"), galleries.gallery("one")
    other = galleries.another(made)
    galleries.replicas = galleries.opened(Keeping(1, 600.0, 1000, pinned=galleries.pinned))

    def held() -> set[tuple[int, int]]:
        galleries.replicas.follow(galleries.log.heads())
        return set(galleries.replicas.here)

    eventually(lambda: held() == {(made, galleries.active(made)), (made, other)})
    galleries.use(alone)
    first, second = galleries.get(made), galleries.replicas.get(made, other)

    assert first is not None
    assert second is not None
    ids, _ = first.owners.everything()
    assert not np.allclose(first.faces.vectors(ids), second.faces.vectors(ids))
    assert (made, other) in held()  # However little memory there is.


def test_a_generation_that_is_being_built_is_not_there_yet(galleries: Galleries) -> None:
    made = galleries.gallery("two")
    with galleries.catalog.transaction() as session:
        building = generations.begin(session, made, rows.model(session).id, None, round_=0).id

    assert (made, building) not in galleries.kept()
    with galleries.catalog.reading() as session, pytest.raises(NotFound, match=f"There is no generation {building}"):
        held.dimension(session, building)


def test_a_dropped_generation_is_let_go_when_nobody_can_ask_for_it_any_more(galleries: Galleries) -> None:
    made = galleries.gallery("two")
    other = galleries.another(made)
    galleries.replicas = galleries.opened(Keeping(64, 600.0, 1000, pinned=galleries.pinned, linger_s=0.0))
    eventually(lambda: galleries.followed() == {galleries.active(made), other})
    with galleries.catalog.transaction() as session:
        generations.drop(session, generations.by_id(session, other))

    galleries.replicas.let_go(galleries.kept())
    assert galleries.replicas.get(made, other) is not None  # A search that began before may come yet.
    galleries.replicas.let_go(galleries.kept())

    assert galleries.replicas.get(made, other) is None
    assert galleries.followed() == {galleries.active(made)}


def test_faces_of_another_round_change_nothing_in_a_generation(galleries: Galleries) -> None:
    made = galleries.gallery("rounds", 4)
    galleries.use(made)
    with galleries.catalog.transaction() as session:
        collection = session.get_one(Collection, made)
        person = people.ensure(session, made, "Person 1")
        face = galleries.face(session, collection, 9)
        session.get_one(Face, face).round = 1
        session.flush()
        log.append(session, made, [log.Change("add", face, person.id), log.Change("assign", face, None)])
        log.append(session, made, [log.Change("prepare", face), log.Change("switch", face)])

    galleries.use(made)
    replica = galleries.get(made)

    assert replica is not None
    assert (len(replica), replica.refused) == (4, 0)
    assert replica.sequence == galleries.log.heads()[made].sequence
