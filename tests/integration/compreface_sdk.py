"""Run by ``test_compreface.py`` in a process of its own: CompreFace's client, unmodified, does all that it can.

Takes the port, the key and the folder of examples; prints one JSON document of what it was answered.
"""

import io
import json
import sys
from pathlib import Path
from typing import Any

from compreface import CompreFace  # type: ignore[import-not-found]
from PIL import Image

PEOPLE = ("Barack Obama", "Joe Biden", "Eileen Collins", "Grace Hopper")


def main(port: str, key: str, examples: Path) -> dict[str, Any]:
    """Everything once."""
    server = CompreFace("http://127.0.0.1", port, {"limit": 0, "prediction_count": 1, "status": "true"})
    recognition = server.init_face_recognition(key)
    faces, subjects = recognition.get_face_collection(), recognition.get_subjects()
    verification, detection = server.init_face_verification(key), server.init_face_detection(key)
    photos = {person: str(examples / "people" / person / "1.jpg") for person in PEOPLE}
    one, group = str(examples / "queries" / "one.jpg"), str(examples / "queries" / "group.jpg")
    empty = io.BytesIO()
    Image.new("RGB", (320, 240), (90, 140, 180)).save(empty, "JPEG")

    told: dict[str, Any] = {"made": subjects.add("Grace Hopper")}
    told["added"] = [faces.add(photos[person], person) for person in PEOPLE]
    told["listed"] = faces.list()
    told["recognised"] = recognition.recognize(image_path=group)
    image = told["added"][0]["image_id"]
    told["verified_example"] = faces.verify(one, image, {"det_prob_threshold": 0.5})
    told["verified"] = verification.verify(one, photos["Barack Obama"])
    told["other"] = verification.verify(one, photos["Joe Biden"])
    told["detected"] = detection.detect(image_path=group, options={"face_plugins": "age,gender,landmarks"})
    told["no_face"] = recognition.recognize(image_path=empty.getvalue())
    told["renamed"] = subjects.update("Joe Biden", "Joseph Biden")
    told["subjects"] = subjects.list()
    told["deleted_example"] = faces.delete(image)
    told["deleted_examples"] = faces.delete_all("Eileen Collins")
    told["deleted_subject"] = subjects.delete("Joseph Biden")
    told["deleted_subjects"] = subjects.delete_all()
    told["left"] = subjects.list()
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
