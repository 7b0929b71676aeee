"""Watching: a camera's frames are asked about, faces followed, and whoever is recognised told once an appearance."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.cli import terminal
from services.cli.cameras import Camera, Frame
from services.cli.service import Document, Service, ServiceError, Unreachable
from services.cli.tracks import Box, Nearest, Seen, Track, Tracks

_LOOK_S = 0.25
"""How often whoever waits for a frame looks whether it is time to end."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_SLOW_S, _SLOW_AFTER = 1.3, 10
"""Three answers that agree in four seconds are what names somebody: slower than this nobody is named."""
_LATER = {429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class How:
    """How one watches."""

    query: Document
    """Fields of the search beside mode and k."""
    every_s: float
    again_after_s: float
    """Whoever was out of view so long appears anew."""
    seconds: float | None
    """When to end; None: with the camera."""
    unknown: bool
    """Whether strangers are told of."""


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody has come into view, in a form that JSON can say."""

    event: str
    """``match`` or ``unknown``."""
    time: str
    """When the frame was taken, RFC 3339 in UTC."""
    camera: str
    person: Document | None
    similarity: float | None
    threshold: float
    box: Document
    """In pixels of the camera's frame."""
    track: int
    position_s: float | None
    """In a file."""

    def document(self) -> Document:
        """As it is written."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class InView:
    """Who is in view now."""

    people: list[str] = field(default_factory=list)
    unknown: int = 0


@dataclass(slots=True)
class Summary:
    """What was seen in all."""

    frames: int = 0
    asked: int = 0
    answered: int = 0
    unknown: int = 0
    people: Counter[str] = field(default_factory=Counter)
    """How often each appeared, by name."""


class Watch:
    """One camera, watched."""

    def __init__(self, client: Service, camera: Camera, how: How) -> None:
        self._client, self._camera, self._how = client, camera, how
        self._tracks = Tracks()
        self._last_seen: dict[str, float] = {}
        self._away = False
        self._answer_s = 0.0
        self.summary = Summary()
        self.in_view = InView()

    def events(self) -> Iterator[list[Told]]:
        """After each answer, who has come into view by it; ends with the camera or in time.

        Raises:
            ServiceError: The service refuses: key, collection or a field of the query.
            CameraLost, InvalidRequest: The camera cannot be opened.
        """
        ends = None if self._how.seconds is None else time.monotonic() + self._how.seconds
        pause_s, not_before = _FIRST_PAUSE_S, 0.0
        while ends is None or time.monotonic() < ends:
            wait_s = not_before - time.monotonic()
            if wait_s > 0:
                time.sleep(min(wait_s, _LOOK_S))
                continue
            try:
                frame = self._camera.newest(_LOOK_S)
            except EOFError:
                return
            finally:
                self.summary.frames = self._camera.read
            if frame is None:
                continue
            asked_at = time.monotonic()
            answer = self._ask(frame)
            if answer is None:
                not_before, pause_s = time.monotonic() + pause_s, min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            pause_s = _FIRST_PAUSE_S
            if not self._camera.is_stepped:
                not_before = asked_at + self._how.every_s
            yield self._heard(frame, *answer)

    def _ask(self, frame: Frame) -> tuple[Document, float] | None:
        """The answer and its scale; None where the service is away."""
        asked_at = time.monotonic()
        jpeg, scale = frame.jpeg()
        self.summary.asked += 1
        query = {"mode": "frame", "k": 1, **self._how.query}
        try:
            answer = self._client.send("POST", "/v1/search", query=query, named=[("photo", ("frame.jpg", jpeg))])
        except Unreachable as error:
            self._trouble(str(error))
            return None
        except ServiceError as error:
            if error.status not in _LATER:
                raise
            self._trouble(str(error))
            return None
        if self._away:
            self._away = False
            terminal.complain("The service answers again.")
        self.summary.answered += 1
        self._notice_slowness(time.monotonic() - asked_at)
        return answer, scale

    def _notice_slowness(self, took_s: float) -> None:
        """Say once that answers take too long for anybody to be named."""
        self._answer_s += took_s
        mean_s = self._answer_s / self.summary.answered
        if self.summary.answered == _SLOW_AFTER and mean_s > _SLOW_S:
            terminal.complain(f"Answers take {mean_s:.1f} s: too slow for three of them to agree on a name in time.")

    def _trouble(self, problem: str) -> None:
        """Say once that the service is away; it is asked again with growing pauses."""
        if not self._away:
            self._away = True
            terminal.complain(f"{problem} It is asked again by itself.")

    def _heard(self, frame: Frame, answer: Document, scale: float) -> list[Told]:
        threshold = float(answer["threshold"])
        self._tracks.answer(frame.taken_s, [_seen(face, scale) for face in answer["faces"]], threshold)
        here = [track for track in self._tracks.all if track.found_s == frame.taken_s]
        told = [one for track in here if (one := self._of(track, frame, threshold)) is not None]
        named = sorted({t.deciding.person.name for t in here if t.deciding.person is not None})
        self.in_view = InView(named, sum(track.deciding.state == "unknown" for track in here))
        return told

    def _of(self, track: Track, frame: Frame, threshold: float) -> Told | None:
        """What is to be told of *track*, which is in view; None where it was told, or is not decided."""
        person = track.deciding.person
        if person is not None:
            before = self._last_seen.get(person.id)
            self._last_seen[person.id] = frame.taken_s
            if before is not None and frame.taken_s - before < self._how.again_after_s:
                return None
            self.summary.people[person.name] += 1
            return self._told("match", track, frame, threshold, person)
        if track.deciding.state != "unknown" or track.told:
            return None
        track.told = True
        self.summary.unknown += 1
        return self._told("unknown", track, frame, threshold, None) if self._how.unknown else None

    def _told(self, event: str, track: Track, frame: Frame, threshold: float, person: Nearest | None) -> Told:
        box, source = track.box, self._camera.source
        return Told(
            event=event,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            camera=source.label,
            person=None
            if person is None
            else {"id": person.id, "name": person.name, "external_id": person.external_id},
            similarity=None if person is None else round(track.deciding.support(), 4),
            threshold=threshold,
            box={"x": round(box.x, 1), "y": round(box.y, 1), "w": round(box.w, 1), "h": round(box.h, 1)},
            track=track.number,
            position_s=round(frame.taken_s, 3) if source.is_file else None,
        )


def _seen(face: Document, scale: float) -> Seen:
    """A face of an answer, in pixels of the camera's frame."""
    box: Document = face["box"]
    matches: Sequence[Document] = face["matches"]
    nearest = None
    if matches:
        person = matches[0]["person"]
        nearest = Nearest(person["id"], person["name"], person["external_id"], float(matches[0]["similarity"]))
    return Seen(Box(box["x"] * scale, box["y"] * scale, box["w"] * scale, box["h"] * scale), nearest)
