"""Changes of a log, for the machines that follow one."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.unit.index.arrays import WrittenLog, unit_vectors

FACES, PEOPLE = st.integers(1, 12), st.integers(1, 3)


class ChangesOfALog(RuleBasedStateMachine):
    """Faces that come, go and change hands, and entries that are pruned."""

    def __init__(self) -> None:
        super().__init__()
        self.log = WrittenLog()

    @rule(face=FACES, person=PEOPLE)
    def add(self, face: int, person: int) -> None:
        if face not in self.log.rows:
            self.log.write("add", face, person, unit_vectors(1, seed=face)[0])

    @rule(face=FACES)
    def remove(self, face: int) -> None:
        self.log.write("remove", face, None)

    @rule(face=FACES, person=st.one_of(st.none(), PEOPLE))
    def assign(self, face: int, person: int | None) -> None:
        if face in self.log.rows:
            self.log.write("assign", face, person)

    @rule()
    def prune(self) -> None:
        self.log.pruned = self.log.sequence
