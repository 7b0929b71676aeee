"""A collection in two generations, as a rebuild leaves it when it is to be compared: rows, chips and vectors."""

from dataclasses import dataclass

import numpy as np

from services.catalog import collections, computations, generations
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.schema import Computation, Embedding, Face, Generation, Job, Model, Person, Photo, new_id
from services.catalog.tables.rebuild import Finding, Rebuild
from services.photos import keys
from services.vault import Vault
from workers.faces import chips
from workers.faces.values import Vectors

MAP = [[1.5, 0.0, 0.0], [0.0, 1.5, 0.0]]
TABLE = {"fpir": {"0.05": [[2, 0.6, 0.1], [100_000, 0.7, 0.1]]}, "fmr": {"0.001": 0.6}}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two generations, and what made the second."""

    collection: int
    before: int
    after: int
    rebuild: str


def model(catalog: Catalog, name: str, dimension: int, thresholds: dict[str, object] | None = None) -> int:
    """The number of an embedder that nothing computes with."""
    with catalog.transaction() as session:
        row = Model(
            public_id=new_id("mod"),
            kind="embedder",
            name=name,
            digest=new_id("d"),
            state="candidate",
            dimension=dimension,
            details={"thresholds": thresholds or {}},
        )
        session.add(row)
        session.flush()
        return row.id


def pair(
    catalog: Catalog,
    store: Vault | None,
    before: Vectors,
    after: Vectors,
    people: np.ndarray,
    *,
    jpegs: list[bytes] | None = None,
    called: str = "Person {}",
    anew: bool = False,
    thresholds: dict[str, object] | None = TABLE,
) -> Pair:
    """A collection whose faces, whose each row is, have a vector under either model.

    Args:
        catalog: At the present schema.
        store: Takes the chips; None leaves them out.
        before: (n, d) under the model that is searched with.
        after: (n, e) under the other one.
        people: (n,) any numbers; -1 is nobody.
        jpegs: Of the chips; grey ones where nothing is said.
        called: What people are called, by their number.
        anew: The second one has a detection of its own, and so rows of its own.
        thresholds: That the new model brings.
    """
    old = model(catalog, "old", before.shape[1], TABLE)
    new = model(catalog, "new", after.shape[1], thresholds)
    grey = chips.encode(np.full((chips.CHIP_PX, chips.CHIP_PX, 3), 120, np.uint8))
    with catalog.transaction() as session:
        gallery = collections.by_name(session, collections.DEFAULT)
        first = generations.first(session, gallery, old, None)
        second = generations.begin(session, gallery.id, new, None, round_=1 if anew else 0)
        second.state = generations.PREPARED
        named = {n: _person(n, called, gallery.id) for n in np.unique(people).tolist() if n >= 0}
        session.add_all(named.values())
        session.flush()
        for row, number in enumerate(people.tolist()):
            photo = _photo(gallery.id)
            session.add(photo)
            session.flush()
            face_id = new_id("fac")
            owner = None if number < 0 else named[number].id
            rows = [_face(face_id, photo, owner, round_) for round_ in ((0, 1) if anew else (0,))]
            session.add_all(rows)
            session.flush()
            for face, of, said in ((rows[0], old, before), (rows[-1], new, after)):
                vector = said[row].astype("<f2").tobytes()
                session.add(Embedding(face_id=face.id, model_id=of, vector=vector, variant="fp32"))
            if store is not None and rows[0].chip_key is not None:
                jpeg = grey if jpegs is None else jpegs[row]
                store.put(rows[0].chip_key, jpeg, content_type="image/jpeg", of=photo)
        rebuild = _rebuild(gallery.id, new, first, second)
        session.add(rebuild)
        session.flush()
        session.add(Finding(rebuild_id=rebuild.id, kind="kept", face_id="fac_1"))
        return Pair(gallery.id, first.id, second.id, rebuild.public_id)


def ask(catalog: Catalog, pair: Pair, **more: object) -> int:
    """The number of a job that compares."""
    wanted = {"before": pair.before, "after": pair.after, "rebuild": pair.rebuild, "draws": 50, **more}
    with catalog.transaction() as session:
        return computations.create(session, pair.collection, computations.COMPARISON, wanted).id


def ended(catalog: Catalog, job_id: int) -> tuple[Job, Computation]:
    """The rows of a job, now."""
    with catalog.reading() as session:
        job = session.get_one(Job, job_id)
        told = jobs.progress(session, job).computation
        assert told is not None
        return job, told


def _person(number: int, called: str, collection: int) -> Person:
    name = called.format(number)
    return Person(public_id=new_id("per"), collection_id=collection, name=name, search_name=name.casefold())


def _photo(collection: int) -> Photo:
    public_id = new_id("pho")
    return Photo(
        public_id=public_id,
        collection_id=collection,
        sha256=new_id("sha"),
        size_bytes=1,
        format="JPEG",
        source_name="a.jpg",
        object_key=keys.photo(collection, public_id),
        state="done",
    )


def _face(face_id: str, photo: Photo, owner: int | None, round_: int) -> Face:
    return Face(
        public_id=face_id,
        collection_id=photo.collection_id,
        photo_id=photo.id,
        round=round_,
        person_id=owner,
        assigned_by="import",
        rule="test",
        box=[0.0, 0.0, 10.0, 10.0],
        score=1.0,
        landmarks=[[1.0, 1.0]] * 5,
        chip_key=keys.chip(photo.collection_id, face_id),
        chip_map=MAP,
    )


def _rebuild(collection: int, model_id: int, before: Generation, after: Generation) -> Rebuild:
    return Rebuild(
        public_id=new_id("reb"),
        collection_id=collection,
        model_id=model_id,
        from_generation=before.id,
        generation_id=after.id,
        state="comparing",
        asked_by="test",
    )
