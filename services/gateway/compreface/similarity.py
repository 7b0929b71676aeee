"""Similarity as CompreFace's clients know it: 0 to 1, where 0.6 is what colega accepts (docs/compreface.md)."""

import math

ACCEPTED = 0.6
"""What the accepting threshold is told as. Double Take takes 60 % as a match where nothing else is set."""

_REFUSED = 0.5999
"""The most that is told of what is not accepted: Double Take rounds 59.995 % up."""

_STEEPNESS = 40.0
"""Of the curve, in logits a unit of cosine: the thresholds that people have set, 0.5 to 0.98, lie within 0.1 of ours."""

_DIGITS = 5


def similarity(cosine: float, threshold: float) -> float:
    """A cosine, or a person's score, on CompreFace's scale; it never falls where *cosine* rises.

    Args:
        cosine: Of two faces, or the score of a person, -1 to 1.
        threshold: From which on colega accepts.
    """
    logit = _STEEPNESS * (cosine - threshold) + math.log(ACCEPTED / (1 - ACCEPTED))
    told = round(1 / (1 + math.exp(-logit)), _DIGITS)
    return max(told, ACCEPTED) if cosine >= threshold else min(told, _REFUSED)
