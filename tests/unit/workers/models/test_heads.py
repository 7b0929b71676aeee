"""A Siamese head: read as it was written, and in doubt where vectors differ."""

import json

import numpy as np

from workers.models.heads import Head


def test_it_is_read_as_it_was_written() -> None:
    head = Head(np.array([-1.5, 0.25, -3.0], np.float32), 2.0, {"people": 25})

    read = Head.of_json(json.loads(json.dumps(head.as_json())), 3)

    assert read.weights.tolist() == head.weights.tolist()
    assert (read.bias, read.trained_on) == (2.0, {"people": 25})


def test_the_probability_is_the_sigmoid_of_the_log_odds_and_keeps_to_its_bounds() -> None:
    head = Head(np.array([-300.0, -100.0], np.float32), 3.0)
    a = np.array([[0.6, 0.8], [0.6, 0.8], [0.6, 0.8]], np.float32)
    b = np.array([[0.6, 0.8], [0.61, 0.79], [-0.6, -0.8]], np.float32)

    said = head.probabilities(a, b)

    np.testing.assert_allclose(said, 1 / (1 + np.exp(-head.log_odds(a, b).astype(np.float64))), atol=1e-12)
    assert said[0] > said[1] > said[2] >= 0


def test_who_comes_first_makes_no_difference() -> None:
    random = np.random.default_rng(1)
    head = Head(random.normal(size=8).astype(np.float32), 0.1)
    a, b = random.normal(size=(2, 5, 8)).astype(np.float32)

    np.testing.assert_array_equal(head.log_odds(a, b), head.log_odds(b, a))
