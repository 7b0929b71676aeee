"""With COLEGA_LOG_FORMAT=json every line is one JSON object, whoever writes it; and what is off costs nothing."""

import json
import subprocess
import sys

import pytest

SPEAKS = """
import logging, sys, threading, warnings
from services.logs import configure, logger
from services.settings.service import Home
configure(Home(log_format=sys.argv[1]))
logger(job="job_1").info("photos.ingested", photos=3)
logging.getLogger("celery.worker").warning("lost %s", "it")
warnings.warn("deprecated")
try:
    raise KeyError("two\\nlines")
except KeyError:
    logging.getLogger("kombu").exception("failed")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("nobody caught it")
"""


def _said(log_format: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SPEAKS, log_format], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_line_is_json_whoever_writes_it() -> None:
    lines = [json.loads(line) for line in _said("json")]

    events = [line["event"] for line in lines]
    assert events[:2] == ["photos.ingested", "lost it"]
    assert events[3:] == ["failed", "thread.failed", "process.failed"]
    assert lines[0]["job"] == "job_1"
    assert "KeyError" in lines[3]["exception"]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)


def test_text_is_for_people() -> None:
    text = "\n".join(_said("text"))

    assert "photos.ingested" in text
    assert "ValueError: nobody caught it" in text


WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
import {module}
from services import tracing, trail
with tracing.span("a") as span, trail.followed({{"request": "b", "traceparent": "c"}}, "d"):
    span.tell(e=1)
assert tracing.traceparent() is None
assert not any(name.startswith("opentelemetry.") for name in sys.modules)
"""


@pytest.mark.parametrize("module", ["services.gateway.app", "workers.searcher", "workers.looking"])
def test_without_traces_opentelemetry_need_not_be_there(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module)], check=False, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr


def test_traces_that_cannot_be_sent_are_refused_at_the_start() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import services.tracing as t; from services.settings.service import Tracing"
    asked = "t.configure(Tracing(traces_endpoint='http://127.0.0.1:1/v1/traces'), 'gateway')"

    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {asked}"], check=False, capture_output=True, text=True, timeout=60
    )

    assert "CannotStart: opentelemetry is not installed" in done.stderr
