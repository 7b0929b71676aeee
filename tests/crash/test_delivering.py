"""Whoever delivers is killed at any moment: every event arrives, and of one subject in order."""

import random
import subprocess
import sys
from collections import defaultdict
from typing import Any

import pytest
from sqlalchemy import func, select

from services.catalog import collections
from services.catalog.engine import Catalog
from services.catalog.tables.webhook import Delivery
from services.catalog.telling import webhooks
from tests.receiver import Receiver
from tests.waiting import eventually

pytestmark = pytest.mark.slow

KILLS = 2


def test_killed_while_it_delivers_it_loses_nothing_and_keeps_the_order(catalog: Catalog, catalog_url: str) -> None:
    draw = random.Random(11)
    kill_at = {draw.randrange(3, 30) for _ in range(KILLS)}
    came: list[dict[str, Any]] = []
    process: list[subprocess.Popen[bytes]] = []

    def answer(event: dict[str, Any]) -> int:
        came.append(event)
        if len(came) in kill_at:
            process[-1].kill()  # It has sent this one, and does not come to know whether that was taken.
        return 500 if draw.random() < 0.2 else 200

    with Receiver(answer) as receiver:
        with catalog.transaction() as session:
            webhooks.create(session, receiver.url, webhooks.EVENTS, None, by="test")
            gallery = collections.by_name(session, collections.DEFAULT).id
            for number in range(10):
                for subject in ("a", "b", "c"):
                    webhooks.tell(session, webhooks.REBUILD_STATE, gallery, subject, {"number": number})
        starts = 0
        while _waiting(catalog):
            process.append(subprocess.Popen([sys.executable, "-m", "tests.crash.delivering", catalog_url]))
            starts += 1
            eventually(lambda: process[-1].poll() is not None or not _waiting(catalog))
        process[-1].kill()
        for one in process:
            one.wait()

        told: dict[str, list[int]] = defaultdict(list)
        for request in receiver.taken:
            if request.data["number"] not in told[request.body["subject"]]:
                told[request.body["subject"]].append(request.data["number"])
    assert told == {subject: list(range(10)) for subject in ("a", "b", "c")}
    assert starts == len(kill_at) + 1


def _waiting(catalog: Catalog) -> int:
    with catalog.reading() as session:
        return session.scalar(select(func.count()).where(Delivery.state == "waiting")) or 0
