"""Heads as the gateway has them: the same judgement as the workers', and no nonsense."""

import array
import base64
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import heads
from services.errors import InvalidModel
from workers.models.heads import Head


def _held(weights: list[float], bias: float = 0.5) -> dict[str, Any]:
    encoded = base64.b64encode(np.array(weights, "<f4").tobytes()).decode()
    return {"kind": "absolute-difference", "weights": encoded, "bias": bias, "trained_on": {}}


@given(st.integers(0, 2**32 - 1), st.floats(-20, 20))
def test_it_judges_as_the_workers_do(seed: int, bias: float) -> None:
    random = np.random.default_rng(seed)
    held = _held(random.normal(0, 3, 16).tolist(), bias)
    a, b = random.normal(size=(2, 16)).astype(np.float32)

    here = heads.read(held, 16).probability(array.array("f", a), array.array("f", b))
    there = float(Head.of_json(held, 16).probabilities(a[None], b[None])[0])

    assert here == pytest.approx(there, abs=1e-5)
    assert 0 <= here <= 1


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (None, "no Siamese head"),
        ({"kind": "linear"}, "no Siamese head"),
        ({**_held([1.0]), "weights": "§"}, "cannot be read"),
        ({**_held([1.0]), "weights": "AAA="}, "cannot be read"),
        ({**_held([1.0]), "bias": "much"}, "cannot be read"),
        (_held([float("nan"), 1.0]), "not finite"),
        (_held([1.0, 2.0], float("inf")), "not finite"),
        (_held([1.0, 2.0, 3.0]), "the model gives 2"),
    ],
)
def test_what_is_no_head_of_the_model_is_refused(held: object, told: str) -> None:
    with pytest.raises(InvalidModel, match=told):
        heads.read(held, 2)
    with pytest.raises(InvalidModel):
        Head.of_json(held, 2)


def test_a_searcher_is_told_the_numbers_only() -> None:
    told = heads.for_searcher({**_held([1.0, 2.0]), "trained_on": {"people": 25}})

    assert Head.of_json(told, 2).weights.tolist() == [1.0, 2.0]
    assert "trained_on" not in told
