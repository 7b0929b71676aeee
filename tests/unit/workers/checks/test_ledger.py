"""The ledger of a check: nothing is counted twice, and what was mended stays noted when the process dies."""

from pathlib import Path

from workers.checks.ledger import GONE, MENDED, NAMED_AT_MOST, Ledger, Outcome, State

LEFT = Outcome(State.LEFT, "why")


def test_what_is_found_is_counted_and_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.begin("objects")
    for number in range(NAMED_AT_MOST + 5):
        ledger.note("object_stray", MENDED, object=f"chips/1/{number}")
    ledger.note("chip_missing", LEFT, face="fac_1", object="chips/1/x")
    ledger.note("chip_missing", GONE, face="fac_2", object="chips/1/y")
    ledger.end()

    told = ledger.told()

    assert told["problems"] == {"object_stray": NAMED_AT_MOST + 5, "chip_missing": 1}
    assert (told["mended"], told["remaining"]) == ({"object_stray": NAMED_AT_MOST + 5}, {"chip_missing": 1})
    assert len(told["named"]["object_stray"]) == NAMED_AT_MOST
    assert told["named"]["chip_missing"] == [{"face": "fac_1", "object": "chips/1/x", "why": "why", "mended": False}]
    assert (told["ok"], told["parts"]) == (False, ["objects"])


def test_what_another_part_has_left_is_not_counted_twice(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    for part in ("objects", "embeddings"):
        ledger.begin(part)
        ledger.note("chip_damaged", LEFT, face="fac_1", object="chips/1/x")
        ledger.end()

    assert ledger.told()["problems"] == {"chip_damaged": 1}


def test_a_part_that_is_begun_again_keeps_what_it_had_mended_and_finds_the_rest_again(tmp_path: Path) -> None:
    file = tmp_path / "ledger.json"
    ledger = Ledger(file)
    ledger.begin("objects")
    ledger.looked_at["objects"] += 3
    ledger.end()
    ledger.begin("embeddings")
    ledger.looked_at["vectors"] += 7
    ledger.note("embedding_wrong", LEFT, face="fac_1", model="mod_1")
    ledger.note("embedding_wrong", MENDED, face="fac_2", model="mod_1")

    again = Ledger(file)  # As the next process opens it.
    again.begin("embeddings")
    again.looked_at["vectors"] += 9
    again.note("embedding_wrong", LEFT, face="fac_1", model="mod_1")
    again.end()

    told = again.told()
    assert again.done == ["objects", "embeddings"]
    assert (told["problems"], told["mended"]) == ({"embedding_wrong": 2}, {"embedding_wrong": 1})
    assert told["looked_at"] == {"objects": 3, "vectors": 9}
