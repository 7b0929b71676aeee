"""A part that hangs keeps nobody waiting, and is asked once however often it is asked about."""

import threading

from services.gateway.observing.probes import AWAY, OK, UNKNOWN, Probe, ask_all
from tests.waiting import eventually


def test_what_hangs_is_away_and_asked_once() -> None:
    asked, go_on = [], threading.Event()

    def hang() -> dict[str, str]:
        asked.append(1)
        go_on.wait(60)
        return {"catalog": OK, "bulk": OK}

    probes = [Probe("catalog", hang, others=["bulk"]), Probe("broker", lambda: {"broker": OK})]

    first, second = ask_all(probes), ask_all(probes)

    assert first == second == {"catalog": AWAY, "bulk": UNKNOWN, "broker": OK}
    assert len(asked) == 1
    go_on.set()
    eventually(lambda: ask_all(probes)["bulk"] == OK)


def test_whatever_goes_wrong_is_no_answer() -> None:
    def fail() -> dict[str, str]:
        raise ZeroDivisionError

    assert ask_all([Probe("photos", fail)]) == {"photos": AWAY}


def test_those_who_ask_at_once_are_told_the_same() -> None:
    asked = []

    def ask() -> dict[str, str]:
        asked.append(1)
        return {"broker": OK}

    probe = Probe("broker", ask)
    threads = [threading.Thread(target=ask_all, args=([probe],)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(asked) < 20
