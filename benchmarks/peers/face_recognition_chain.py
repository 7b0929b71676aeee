"""face_recognition (dlib) with its defaults: HOG detector, small landmark model, one jitter; the largest face.

Runs in the peer's own virtual environment.
"""

import importlib
import io
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
loop = importlib.import_module("loop")
face_recognition = importlib.import_module("face_recognition")


def chain(data: bytes) -> list[float] | None:
    """A photo's bytes to the 128 numbers of its largest face."""
    picture = face_recognition.load_image_file(io.BytesIO(data))
    places = face_recognition.face_locations(picture)
    if not places:
        return None
    largest = max(places, key=lambda place: (place[2] - place[0]) * (place[1] - place[3]))
    vector: list[float] = face_recognition.face_encodings(picture, [largest])[0].tolist()
    return vector


if __name__ == "__main__":
    loop.serve({name: metadata.version(name) for name in ("face_recognition", "dlib-bin")}, chain)
