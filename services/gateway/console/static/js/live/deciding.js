// Who a tracked face is, decided over several answers: "unsure" at first, then a person or "unknown". One answer alone names
// nobody, and a name that was given stays until several speak against it.

const REMEMBERED = 6; // Answers.
const REMEMBERED_MS = 12000; // Where answers are slow.
const FOR_A_NAME = 3; // Answers that accept the same person, and more than half of those remembered.
const FOR_UNKNOWN = 4; // Answers that accept nobody, and most of those remembered.
const MOST = 0.7;

export const UNSURE = "unsure";
export const UNKNOWN = "unknown";
export const NAMED = "named";

/** What the answers of late say about one face. */
export class Deciding {
  #seen = [];
  state = UNSURE;
  person = null;

  /** An answer: when its frame was taken, and the nearest persons, best first: [{id, name, similarity, …}]. */
  hear(time, matches) {
    this.#seen.push({ time, best: matches[0] ?? null });
    while (this.#seen.length > REMEMBERED || time - this.#seen[0].time > REMEMBERED_MS) this.#seen.shift();
  }

  /** Decide by *threshold*: the similarity from which a person is accepted. */
  decide(threshold) {
    const counts = new Map();
    let nobody = 0;
    for (const { best } of this.#seen) {
      if (best && best.similarity >= threshold) counts.set(best.id, (counts.get(best.id) ?? 0) + 1);
      else nobody++;
    }
    const [id, count] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most), [null, 0]);
    if (count >= FOR_A_NAME && count > this.#seen.length / 2) {
      this.state = NAMED;
      this.person = this.#newest(id);
    } else if (nobody >= FOR_UNKNOWN && nobody >= MOST * this.#seen.length) {
      this.state = UNKNOWN;
      this.person = null;
    } else if (this.state === NAMED) {
      this.person = this.#newest(this.person.id) ?? this.person;
    }
  }

  /** Mean similarity of the answers that had *id* nearest. */
  support(id) {
    const mine = this.#seen.filter(({ best }) => best?.id === id).map(({ best }) => best.similarity);
    return mine.length ? mine.reduce((sum, one) => sum + one, 0) / mine.length : -1;
  }

  /** Begin again: somebody else bears that name. */
  doubt() {
    this.#seen = [];
    this.state = UNSURE;
    this.person = null;
  }

  #newest(id) {
    return this.#seen.findLast(({ best }) => best?.id === id)?.best ?? null;
  }
}
