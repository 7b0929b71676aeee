// Faces of nobody one by one, with the person who is most alike.

import { ask, element, fill, number } from "../colega.js";
import { choose } from "../dialogs.js";
import { give, not, remove } from "./groups.js";
import { chip, look } from "./parts.js";
import { button, said } from "./queue.js";

const AT_ONCE = 2;

export function single({ waiting: total }) {
  return {
    total: Number(total),
    keys: { y: said.yes, n: said.no, m: said.name, d: said.delete, s: said.later },
    page: (cursor) => ({ path: "faces", query: { limit: 24, cursor }, items: (answer) => answer.items }),
    card: (face, queue) => new Single(face, queue).card,
  };
}

const waiting = [];
let asking = 0;

/** Ask who a face is like; few at once, those that are seen first. */
function next() {
  while (asking < AT_ONCE && waiting.length) {
    const one = waiting.shift();
    asking += 1;
    one().finally(() => { asking -= 1; next(); });
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    waiting.push(target.ask);
    next();
  }
}, { rootMargin: "200px" });

class Single {
  constructor(face, queue) {
    this.queue = queue;
    this.face = face;
    this.node = element("article", { class: "card one", tabindex: "-1", "aria-label": said.face });
    this.card = { node: this.node, keys: () => this.keys() };
    this.asked = element("div", { class: "asked" });
    this.node.append(
      element("div", { class: "shown" }, chip(face.id, "large"), look(face.photo_id)),
      this.asked,
      element(
        "div",
        { class: "doing" },
        button(said.name, "m", () => this.name()),
        button(said.delete, "d", () => this.remove()),
        button(said.later, "s", () => queue.later(this.card)),
      ),
    );
    this.node.ask = () => this.look();
    seen.observe(this.node);
  }

  keys() {
    return {
      ...(this.nearest && { y: { run: () => this.yes() }, n: { run: () => this.no() } }),
      m: { run: () => this.name() },
      d: { run: () => this.remove() },
      s: { run: () => this.queue.later(this.card) },
    };
  }

  async look() {
    let found;
    try {
      const answer = await ask("POST", "search", { query: { k: 1 }, json: { face_id: this.face.id } });
      [found] = answer.faces[0].matches;
      this.threshold = answer.threshold;
    } catch {
      return;  // It can be named without a proposal.
    }
    this.nearest = found?.similarity >= this.threshold ? found : null;
    this.draw(found);
  }

  draw(found) {
    if (!this.nearest) {
      this.asked.replaceChildren(element("p", { class: "quiet" }, said.nobody));
      return;
    }
    const { person, face_id: face, similarity } = found;
    this.asked.replaceChildren(
      chip(face, "small"),
      element("p", { class: "question" }, fill(said.is_this, { name: person.name }), " ", element("span", { class: "quiet" }, fill(said.alike, { percent: number(similarity, { style: "percent" }) }))),
      element("div", { class: "doing" }, button(said.yes, "y", () => this.yes(), "primary"), button(said.no, "n", () => this.no())),
    );
  }

  yes() { return give(this.queue, this.card, [this.face.id], this.nearest.person); }

  async no() {
    await not(this.queue, this.card, [this.face.id], this.nearest.person, { stays: () => true, onundo: () => this.look() });
    await this.look();
  }

  name() {
    choose(said.whose, { anew: true }, async (person) => { setTimeout(() => give(this.queue, this.card, [this.face.id], person)); });
  }

  remove() { remove(this.queue, this.card, [this.face.id]); }
}
