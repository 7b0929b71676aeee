"""How bulk workers choose among their queues."""

from collections import Counter

from kombu.utils.scheduling import cycle_by_name

from services.broker import names
from services.broker.app import Ranked, celery_app


def test_the_most_urgent_queue_is_asked_first() -> None:
    ranked = Ranked()
    ranked.update([names.REBUILD, names.BULK, names.ENROL])

    assert ranked.consume(3) == [names.ENROL, names.BULK, names.REBUILD]


def test_a_share_of_the_turns_goes_to_the_lowest_queue() -> None:
    ranked = Ranked()
    ranked.update([names.REBUILD, names.BULK, names.ENROL])

    first = Counter(ranked.consume(3)[0] for _ in range(80))

    assert first == {names.ENROL: 70, names.REBUILD: 10}


def test_celery_finds_the_order_by_its_name() -> None:
    options = celery_app("redis://127.0.0.1:1/0").conf.broker_transport_options

    assert cycle_by_name(options["queue_order_strategy"]) is Ranked  # type: ignore[no-untyped-call]


def test_only_json_is_read_and_no_result_is_kept() -> None:
    conf = celery_app("redis://127.0.0.1:1/0").conf

    assert (conf.accept_content, conf.task_serializer, conf.task_ignore_result) == (["json"], "json", True)
