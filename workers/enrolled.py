"""What a collection has enrolled, as the vectors that its searches compare with."""

import numpy as np

from services.catalog import log
from services.catalog.engine import Catalog
from services.catalog.schema import Collection
from services.errors import InvalidRequest
from workers.workbench import Enrolled


def vectors_of(catalog: Catalog, collection_id: int, generation_id: int) -> Enrolled:
    """The vectors of every face that is somebody's, by the number of the face, and the head that they were read at.

    50,000 faces of 512 dimensions take 100 MB. What the collection is told meanwhile may be among them or not.

    Raises:
        InvalidRequest: Nobody is enrolled in the collection, or no face is in that generation.
    """
    with catalog.reading() as session:
        collection = session.get_one(Collection, collection_id)
        epoch, head = collection.epoch, collection.head
        halves: list[bytes] = []
        people: list[int] = []
        for rows in log.faces(session, collection_id, generation_id):
            mine = [(vector, person) for vector, person in zip(rows.vectors, rows.person_ids, strict=True) if person]
            halves.append(b"".join(vector for vector, _ in mine))
            people += [person for _, person in mine]
    if not people:
        raise InvalidRequest("Nobody is enrolled in this collection under this model: import photos with names first.")
    vectors = np.frombuffer(b"".join(halves), "<f2").reshape(len(people), -1).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return Enrolled(generation_id, vectors, np.array(people, np.int64), epoch, head)
