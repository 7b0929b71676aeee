"""Cameras: what ``--camera`` may say, and what is never shown of it."""

import sys
from pathlib import Path

import pytest

from services.cli.cameras import Camera, Source, masked, source
from services.errors import InvalidRequest


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:hunter2@10.0.0.5:554/stream?x=1", "rtsp://…@10.0.0.5:554/stream?x=1"),
        ("rtsp://me:p@ss@host/1", "rtsp://…@host/1"),
        ("rtsp://10.0.0.5/stream", "rtsp://10.0.0.5/stream"),
        ("/dev/video0", "/dev/video0"),
    ],
)
def test_no_password_of_an_address_is_shown(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_an_address_is_a_camera_called_as_its_host() -> None:
    assert source("rtsp://me:hunter2@door.local/1", None) == Source("rtsp://me:hunter2@door.local/1", "door.local")


def test_a_label_goes_before_what_is_made_of_the_address(tmp_path: Path) -> None:
    video = tmp_path / "door.mp4"
    video.touch()

    assert source(str(video), "Front door") == Source(str(video), "Front door", is_file=True)
    assert source(str(video), None).label == "door"


@pytest.mark.parametrize(
    ("camera", "says"),
    [
        ("63", "There is no camera 63"),
        ("/dev/video63", "There is no camera /dev/video63"),
        ("nowhere.mp4", "no file"),
        ("gopher://x", "no file"),
    ],
)
def test_what_is_no_camera_is_refused_with_a_sentence(camera: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        source(camera, None)


@pytest.mark.parametrize("absent", ["av", "PIL.Image"])
def test_what_has_to_be_installed_is_said(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    monkeypatch.setitem(sys.modules, absent, None)

    with pytest.raises(InvalidRequest, match=r"pip install 'colega\[live\]'"):
        Camera(Source("door.mp4", "door", is_file=True)).__enter__()
