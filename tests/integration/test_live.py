"""``colega live``: who comes before a camera is told once, wherever it was asked to be told, and nothing stops it but its end."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.browser import videos
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SECONDS = 3.0
PASSWORD = "hunter2"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """Joe Biden walks about and Eileen Collins stands there, cut out of a photo that nobody was enrolled from."""
    group = examples / "queries" / "group.jpg"
    actors = [
        videos.actor(group, videos.IN_GROUP["Joe Biden"], videos.walking(130, 510, 200, 110)),
        videos.actor(group, videos.IN_GROUP["Eileen Collins"], videos.standing(320, 260, 90)),
    ]
    file = tmp_path_factory.mktemp("camera") / "door.mp4"
    with av.open(str(file), "w") as out:
        stream = out.add_stream("mpeg4", rate=videos.FPS)
        stream.width, stream.height, stream.bit_rate = videos.WIDTH, videos.HEIGHT, 4_000_000
        for frame in videos.frames(actors, SECONDS):
            out.mux(stream.encode(av.VideoFrame.from_image(frame)))  # type: ignore[no-untyped-call]
        out.mux(stream.encode())
    return file


def test_everybody_is_told_once_and_strangers_only_where_asked(service: Running, enrolled: str, video: Path) -> None:
    person = next(one for one in service.client(enrolled).people.list() if one["name"] == "Joe Biden")
    service.client(enrolled).people.delete(person["id"])

    done = _live(service, enrolled, "--camera", str(video), "--fast", "--json", "--unknown")

    events = [json.loads(line) for line in done.stdout.splitlines()]
    told = sorted((one["event"], (one["person"] or {}).get("name")) for one in events)
    assert (done.returncode, told) == (0, [("match", "Eileen Collins"), ("unknown", None)])
    match = next(one for one in events if one["event"] == "match")
    assert match["camera"] == "door"
    assert match["similarity"] >= match["threshold"]
    assert 200 < match["box"]["x"] < 360
    assert "Seen: Eileen Collins; 1 unknown." in done.stderr


def test_matches_reach_the_webhooks_of_the_service(service: Running, enrolled: str, video: Path) -> None:
    admin = service.client()
    hook = admin.send(
        "POST",
        "/v1/webhooks",
        body={"url": "http://127.0.0.1:9/nobody", "events": ["live.match"], "collection": enrolled},
    )

    done = _live(service, enrolled, "--camera", str(video), "--fast", "--on-match", "webhook", "--label", "Front door")

    assert done.returncode == 0, done.stderr
    deliveries = admin.send("GET", f"/v1/webhooks/{hook['id']}/deliveries")["items"]
    admin.send("DELETE", f"/v1/webhooks/{hook['id']}")
    assert sorted(one["kind"] for one in deliveries) == ["live.match", "live.match"]


def test_a_subscriber_of_mqtt_hears_of_matches_state_and_the_end(
    service: Running, enrolled: str, video: Path, tmp_path: Path
) -> None:
    with _mqtt_broker(tmp_path) as port, _subscribed(port) as heard:
        done = _live(
            service,
            enrolled,
            *("--camera", str(video), "--fast", "--label", "Front door", "--home-assistant"),
            *("--on-match", f"mqtt://127.0.0.1:{port}/office"),
        )
        eventually(lambda: ("office/front-door/availability", "offline") in heard, within_s=20)

    assert done.returncode == 0, done.stderr
    matches = [json.loads(said) for topic, said in heard if topic == "office/front-door/match"]
    assert {one["person"]["name"] for one in matches} == {"Joe Biden", "Eileen Collins"}
    states = [json.loads(said) for topic, said in heard if topic == "office/front-door/state"]
    assert any(set(one["people"]) == {"Joe Biden", "Eileen Collins"} for one in states)
    assert states[-1]["people"] == []
    [found] = [json.loads(said) for topic, said in heard if topic.startswith("homeassistant/")]
    assert found["state_topic"] == "office/front-door/state"


def test_a_stream_that_breaks_off_is_opened_again_and_its_password_never_shown(
    service: Running, enrolled: str, video: Path
) -> None:
    with _stream(video, frames=12) as (port, opened):
        camera = f"http://me:{PASSWORD}@127.0.0.1:{port}/cam.mjpg"
        with _started(service, enrolled, "--camera", camera, "--json", "--seconds", "60") as process:
            assert process.stdout is not None
            names = {json.loads(process.stdout.readline())["person"]["name"] for _ in range(2)}
            eventually(lambda: len(opened) > 1, within_s=30)
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=20)

    assert process.returncode == 0
    assert names == {"Joe Biden", "Eileen Collins"}
    assert "tried again in" in complaints
    assert "Seen: " in complaints
    assert PASSWORD not in complaints


def test_a_service_that_is_away_is_waited_for(service: Running, enrolled: str, video: Path) -> None:
    with _relay(service) as relay:
        environment = {"COLEGA_URL": relay.url, "COLEGA_API_KEY": str(service.instance()["api_key"])}
        with _started(service, enrolled, "--camera", str(video), "--fast", "--json", **environment) as process:
            assert process.stderr is not None
            assert "Watching" in process.stderr.readline()
            assert "cannot be reached" in process.stderr.readline()
            relay.open()
            out, complaints = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "answers again" in complaints
    assert {json.loads(line)["person"]["name"] for line in out.splitlines()} == {"Joe Biden", "Eileen Collins"}


def test_a_service_that_never_answers_is_told_by_the_exit_code(service: Running, video: Path) -> None:
    nobody = {"COLEGA_URL": "http://127.0.0.1:9", "COLEGA_API_KEY": "colega_x"}

    done = _live(service, "default", "--camera", str(video), "--seconds", "1", **nobody)

    assert done.returncode == 3
    assert "Seen: nobody." in done.stderr


def test_a_file_that_is_no_video_is_refused_with_a_sentence(service: Running) -> None:
    done = _live(service, "default", "--camera", __file__)

    assert done.returncode == 2
    assert "cannot be watched: invalid data found" in done.stderr


def _command(collection: str, words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "services.cli.main", "live", *words, "--collection", collection]


def _environment(service: Running, more: dict[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "COLEGA_DATA": str(service.data), **more}


def _live(service: Running, collection: str, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """The command, to its end."""
    return subprocess.run(
        _command(collection, words),
        env=_environment(service, more),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@contextmanager
def _started(service: Running, collection: str, *words: str, **more: str) -> "Iterator[subprocess.Popen[str]]":
    """The command while it runs."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        _command(collection, words), env=_environment(service, more), stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def _mqtt_broker(folder: Path) -> Iterator[int]:
    """A broker of messages, by its port."""
    port = _free_port()
    plugin = "amqtt.plugins.authentication.AnonymousAuthPlugin"
    (folder / "broker.yaml").write_text(
        f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\nplugins:\n  {plugin}:\n    allow_anonymous: true\n"
    )
    command = [str(Path(sys.executable).with_name("amqtt")), "-c", str(folder / "broker.yaml")]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        try:
            eventually(lambda: _answers(port), within_s=60)
            yield port
        finally:
            process.kill()


@contextmanager
def _subscribed(port: int) -> Iterator[list[tuple[str, str]]]:
    """All that is published at a broker: topic and message, in order."""
    heard: list[tuple[str, str]] = []
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: heard.append((message.topic, message.payload.decode()))
    ready = threading.Event()
    client.on_connect = lambda *_: client.subscribe("#", 1)  # type: ignore[assignment]
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port, keepalive=5)  # A connection that says nothing for so long is made anew.
    client.loop_start()
    try:
        assert ready.wait(60)
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def _stream(video: Path, frames: int) -> Iterator[tuple[int, list[float]]]:
    """A camera on the network that breaks off after some frames; its port, and when it was opened."""
    with av.open(str(video)) as source:
        pictures = [frame.to_image() for frame in source.decode(video=0)]  # type: ignore[no-untyped-call]
    opened: list[float] = []

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            opened.append(time.monotonic())
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for picture in pictures[:: len(pictures) // frames][:frames]:
                packed = _jpeg(picture)
                self.wfile.write(
                    f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
                )
                self.wfile.write(packed + b"\r\n")
                self.wfile.flush()
                threading.Event().wait(0.25)  # A slow camera's pace.

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, opened
    server.shutdown()
    server.server_close()


class _Relay:
    """A way to the service that is shut at first."""

    def __init__(self, service: Running) -> None:
        self._to = int(str(service.instance()["url"]).rpartition(":")[2])
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._listening: socket.socket | None = None

    def open(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()

    def _accept(self) -> None:
        assert self._listening is not None
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, target), daemon=True).start()


@contextmanager
def _relay(service: Running) -> Iterator[_Relay]:
    relay = _Relay(service)
    yield relay
    relay.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()


def _jpeg(picture: Any) -> bytes:

    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
