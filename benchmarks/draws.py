"""Who is enrolled with which photos, and who is asked for: the draws of :mod:`benchmarks.ranking`."""

from dataclasses import dataclass, replace

import numpy as np

from workers.evaluation.metrics import Labels

MANY = 5
UP_TO_MANY = "up to 5 photos"
CASES = {"1 photo": 1, "2 photos": 2, "3 photos": 3, "5 photos": MANY, UP_TO_MANY: MANY}
"""How many photos each enrolled person has."""

_PROBES = 5


@dataclass(frozen=True, slots=True)
class Draw:
    """Who is enrolled with which photos, and who is asked for, as rows of a set."""

    gallery: Labels
    owners: Labels
    """Of each row of ``gallery``: a number of its person in this draw."""
    probes: Labels
    probe_owners: Labels
    strangers: Labels


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A draw before and after photos of strangers got among those of people who have five."""

    right: Draw
    wrong: Draw
    probes: Labels
    """Other photos of those strangers."""
    owners: Labels
    """Who each of ``probes`` now is said to be."""


def drawn(people: Labels, half: Labels, case: str, random: np.random.Generator) -> Draw:
    """Enrol people of *half*, ask for them with up to five photos each, and for the others as strangers."""
    rows = {person: random.permutation(np.flatnonzero(people == person)) for person in half.tolist()}
    photos = CASES[case]
    if case == UP_TO_MANY:
        inside, _ = halves(people[np.isin(people, half)], random)
    else:
        able = random.permutation([person for person, mine in rows.items() if len(mine) > photos])
        inside = able[: len(able) // 2]
    gallery, owners, probes, probe_owners = [], [], [], []
    for number, person in enumerate(inside.tolist()):
        mine = rows[person]
        kept = min(photos, max(1, len(mine) - 1))
        asked = mine[kept : kept + _PROBES]
        gallery.append(mine[:kept])
        owners += [number] * kept
        probes.append(asked)
        probe_owners += [number] * len(asked)
    strangers = np.concatenate([rows[person][:_PROBES] for person in np.setdiff1d(half, inside).tolist()])
    return Draw(np.concatenate(gallery), np.array(owners), np.concatenate(probes), np.array(probe_owners), strangers)


def spoil(draw: Draw, people: Labels, random: np.random.Generator) -> Spoilt:
    """A stranger's photo in the place of the last one of each person who has five, while strangers last."""
    own = people[draw.strangers]
    several = [person for person in np.unique(own).tolist() if np.count_nonzero(own == person) > 1]
    asked = random.permutation(np.flatnonzero(np.bincount(draw.owners) == MANY))[: len(several)]
    gallery = draw.gallery.copy()
    probes, owners = [], []
    for number, stranger in zip(asked.tolist(), random.permutation(several).tolist(), strict=False):
        wrong, *others = draw.strangers[own == stranger].tolist()
        gallery[np.flatnonzero(draw.owners == number)[-1]] = wrong
        probes += others
        owners += [number] * len(others)
    of_asked = np.isin(draw.probe_owners, asked)
    right = replace(draw, probes=draw.probes[of_asked], probe_owners=draw.probe_owners[of_asked])
    return Spoilt(right, replace(right, gallery=gallery), np.array(probes), np.array(owners))


def halves(people: Labels, random: np.random.Generator) -> tuple[Labels, Labels]:
    """People dealt into two, those with many, several and one photo each by themselves."""
    names, counts = np.unique(people, return_counts=True)
    order = random.permutation(len(names))
    order = order[np.argsort((counts[order] > 1).astype(int) + (counts[order] > MANY), kind="stable")]
    return names[order[::2]], names[order[1::2]]
