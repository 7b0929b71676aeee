"""Cameras: the newest frame of a device, a stream or a video file, decoded by PyAV in a thread of its own. Nothing is kept."""

import contextlib
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit, urlunsplit

from services.cli import terminal
from services.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    import av

SENT_PX = 640
"""Long side of what is sent; the detector looks at no more of one frame."""
_QUALITY = 85
_OPENS_WITHIN_S, _READS_WITHIN_S = 10.0, 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_STREAMS = {"rtsp", "rtsps", "http", "https", "rtmp", "tcp", "udp", "srt"}


class CameraLost(Unavailable):
    """A camera cannot be opened, or has stopped sending."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is watched."""

    url: str
    """As PyAV opens it."""
    label: str
    format: str | None = None
    is_file: bool = False
    """It has an end and a pace of its own; a stream or a device goes on, and is opened again."""

    @property
    def shown(self) -> str:
        """Its address without the password."""
        return masked(self.url)


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture of a camera."""

    picture: Any
    """PyAV's VideoFrame."""
    taken_s: float
    """On the clock of its source: monotonic of a camera, its own of a file."""
    number: int

    def jpeg(self) -> tuple[bytes, float]:
        """As it is sent, with at most SENT_PX a side, and how many of its pixels one of these is."""
        longest = max(self.picture.width, self.picture.height)
        scale = max(longest / SENT_PX, 1.0)
        size = {"width": round(self.picture.width / scale), "height": round(self.picture.height / scale)}
        out = io.BytesIO()
        self.picture.to_image(**size).save(out, "JPEG", quality=_QUALITY)
        return out.getvalue(), scale


def source(camera: str, label: str | None) -> Source:
    """What ``--camera`` names: a number of a device, an address, or a video file.

    Raises:
        InvalidRequest: It is none of these, or not there.
    """
    if camera.isdecimal():
        device = Path(f"/dev/video{camera}")
        if not device.exists():
            raise InvalidRequest(f"There is no camera {camera} ({device}). Plug one in, or give an address or a file.")
        return Source(str(device), label or f"camera {camera}", format="v4l2")
    parts = urlsplit(camera)
    if parts.scheme in _STREAMS:
        return Source(camera, label or parts.hostname or "camera")
    if camera.startswith("/dev/"):
        if not Path(camera).exists():
            raise InvalidRequest(f"There is no camera {camera}.")
        return Source(camera, label or Path(camera).name, format="v4l2")
    path = Path(camera)
    if not path.is_file():
        raise InvalidRequest(f"--camera: {camera} is no number of a camera, no address such as rtsp://…, and no file.")
    return Source(str(path), label or path.stem, is_file=True)


def masked(url: str) -> str:
    """*url* without user and password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"…@{parts.netloc.rpartition('@')[2]}"))


class Camera:
    """A source that is read all the time; who asks gets the newest frame, and those between were never kept."""

    def __init__(self, source: Source, *, fast_every_s: float | None = None) -> None:
        """*fast_every_s*: of a file, frames so far apart, as quickly as they are asked for; None: at its own speed."""
        self.source = source
        self._fast_every_s = fast_every_s if source.is_file else None
        self._news = threading.Condition()
        self._newest: Frame | None = None
        self._taken = 0
        self._ended: Exception | bool = False
        self._closing = threading.Event()
        self.read = 0
        """Frames that have come."""
        self.is_stepped = self._fast_every_s is not None
        """Its frames are as far apart as was asked for already."""
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)

    def __enter__(self) -> Self:
        _library()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        with self._news:
            self._news.notify_all()

    def newest(self, timeout_s: float) -> Frame | None:
        """A frame that was not given yet; None where none comes in time.

        Raises:
            EOFError: There are no more.
            CameraLost, InvalidRequest: It cannot be opened.
        """
        with self._news:
            self._news.wait_for(lambda: self._newest is not None or self._ended, timeout_s)
            frame, self._newest = self._newest, None
            self._news.notify_all()
            if frame is not None:
                return frame
            if isinstance(self._ended, Exception):
                raise self._ended
            if self._ended:
                raise EOFError
            return None

    def _run(self) -> None:
        pause_s, ended = _FIRST_PAUSE_S, None
        while not self._closing.is_set():
            before = self.read
            try:
                self._read_once()
                if self.source.is_file:
                    break
                problem = "it has stopped sending"
            except (_library().FFmpegError, OSError, ValueError, CameraLost) as error:
                problem = _why(error)
                if self.source.is_file or (self.source.format and not self.read):
                    ended = InvalidRequest(f"{self.source.shown} cannot be watched: {problem}.")
                    break
            pause_s = _FIRST_PAUSE_S if self.read > before else min(2 * pause_s, _LONGEST_PAUSE_S)
            terminal.complain(f"{self.source.label}: {problem}; tried again in {pause_s:.0f} s.")
            self._closing.wait(pause_s)
        with self._news:
            self._ended = ended or True
            self._news.notify_all()

    def _read_once(self) -> None:
        with contextlib.closing(_opened(self.source)) as container:
            container.streams.video[0].thread_type = "AUTO"
            began_s = time.monotonic()
            last_s = None
            for picture in _pictures(container):
                if self._closing.is_set():
                    return
                self.read += 1
                if not self.source.is_file:
                    self._give(Frame(picture, time.monotonic(), self.read))
                    continue
                at_s = float(picture.time or 0.0)
                if self._fast_every_s is None:
                    self._closing.wait(max(0.0, began_s + at_s - time.monotonic()))
                    self._give(Frame(picture, at_s, self.read))
                elif last_s is None or at_s - last_s >= self._fast_every_s:
                    last_s = at_s
                    self._give(Frame(picture, at_s, self.read))
                    self._wait_until_taken()

    def _give(self, frame: Frame) -> None:
        with self._news:
            self._newest = frame
            self._news.notify_all()

    def _wait_until_taken(self) -> None:
        with self._news:
            self._news.wait_for(lambda: self._newest is None or self._closing.is_set())


def _library() -> Any:  # noqa: ANN401 - the module av
    """PyAV, with Pillow.

    Raises:
        InvalidRequest: It is not installed.
    """
    try:
        import av  # noqa: PLC0415 - only `live` needs it
        import PIL.Image  # noqa: F401, PLC0415
    except ImportError:
        raise InvalidRequest("colega live needs PyAV and Pillow: pip install 'colega[live]'.") from None
    av.logging.set_level(av.logging.FATAL)
    return av


def _opened(source: Source) -> "av.container.InputContainer":
    options = {}
    if source.url.startswith("rtsp"):
        options = {"rtsp_transport": "tcp"}
    elif source.format == "v4l2":
        options = {"video_size": "640x480", "framerate": "30"}
    container: av.container.InputContainer = _library().open(
        source.url, format=source.format, options=options, timeout=(_OPENS_WITHIN_S, _READS_WITHIN_S)
    )
    if not container.streams.video:
        container.close()
        raise CameraLost("there is no picture in it")
    return container


def _pictures(container: "av.container.InputContainer") -> Iterator[Any]:
    yield from container.decode(video=0)


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".").lower() or type(error).__name__
