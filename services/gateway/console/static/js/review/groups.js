// Faces of nobody that look alike: named at once, taken apart, deleted.

import { ask, counted, element, fill, number } from "../colega.js";
import { choose, confirm } from "../dialogs.js";
import { chip, facesOf, look, personLink } from "./parts.js";
import { button, said } from "./queue.js";

const LISTED = 36;
const COMPANY = 5;

export function groups() {
  let threshold = 1;
  return {
    keys: { y: said.yes, n: said.no, m: said.name, o: fill(said.take_out_other, { count: "…" }), d: said.delete, s: said.later },
    page: (cursor) => ({
      path: "clusters",
      query: { limit: 10, shown: 500, cursor },
      items: (answer) => { ({ threshold } = answer); return answer.items; },
    }),
    card: (group, queue) => new Group(group, queue, threshold).card,
  };
}

/** Give faces to somebody who is chosen or made; the card goes with them. */
export async function give(queue, card, faces, person, { stays, onundo = () => {} } = {}) {
  let given = [];
  await queue.act(
    card,
    async () => { given = (await ask("POST", "faces/assign", { json: { face_ids: faces, person_id: person.id } })).face_ids; },
    {
      text: () => fill(counted(said, "named", given.length), { name: person.name }),
      stays,
      undo: async () => {
        await ask("POST", "faces/assign", { json: { face_ids: given, person_id: null } });
        if (person.made) await ask("DELETE", `people/${person.id}`);
        onundo();
      },
    },
  );
}

/** Remember that faces are not somebody. */
export const not = (queue, card, faces, person, { stays, onundo = () => {} } = {}) =>
  queue.act(card, () => ask("POST", "faces/reject", { json: { face_ids: faces, person_id: person.id } }), {
    text: fill(said.not_them, { name: person.name }),
    stays,
    undo: async () => {
      await ask("POST", "faces/reject/undo", { json: { face_ids: faces, person_id: person.id } });
      onundo();
    },
  });

/** Delete faces, once somebody is sure. */
export function remove(queue, card, faces, { stays, ondone = () => {} } = {}) {
  confirm(counted(said, "delete_title", faces.length), said.delete_says, said.delete, async () => {
    const gone = await ask("POST", "faces/delete", { json: { face_ids: faces } });
    setTimeout(() => queue.act(card, async () => { ondone(gone.face_ids); }, { text: counted(said, "deleted", gone.face_ids.length), stays }));
  });
}

class Group {
  constructor(group, queue, threshold) {
    this.queue = queue;
    this.faces = group.faces;
    this.beyond = group.size - group.faces.length;
    this.nearest = group.nearest && group.nearest.similarity >= threshold ? group.nearest : null;
    this.chosen = new Set();
    this.all = false;
    this.node = element("article", { class: "card group", tabindex: "-1" });
    this.card = { node: this.node, keys: () => this.keys() };
    this.draw();
  }

  get ids() { return this.faces.map((face) => face.face_id); }
  get some() { return this.chosen.size ? this.ids.filter((face) => this.chosen.has(face)) : this.ids; }

  keys() {
    const near = this.nearest?.person;
    return {
      ...(near && { y: { run: () => give(this.queue, this.card, this.ids, near) }, n: { run: () => this.no() } }),
      m: { run: () => this.name() },
      ...(this.chosen.size && { o: { run: () => this.out() } }),
      d: { run: () => this.remove() },
      s: { run: () => this.queue.later(this.card) },
    };
  }

  draw() {
    const size = this.faces.length + this.beyond;
    this.node.setAttribute("aria-label", fill(said.group, { count: number(size) }));
    const listed = this.all ? this.faces : this.faces.slice(0, LISTED);
    const rest = this.faces.length - listed.length;
    const grid = element("ul", { class: "faces" }, listed.map((face, place) => this.tile(face, place)));
    this.doing = element("div", { class: "doing" });
    const more = element("button", { class: "button small", type: "button", onclick: () => { this.all = true; this.draw(); this.node.focus(); } }, fill(said.more_faces, { count: number(rest) }));
    this.node.replaceChildren(
      element("h3", {}, counted(said, "faces", size)),
      this.nearest ? this.asked() : element("p", { class: "quiet" }, said.nobody),
      grid,
      ...(rest > 0 ? [element("p", {}, more)] : []),
      this.doing,
    );
    this.doings();
  }

  asked() {
    const { person, similarity } = this.nearest;
    return element(
      "div",
      { class: "asked" },
      facesOf(person, 3),
      element("p", { class: "question" }, fill(said.is_this, { name: person.name }), " ", element("span", { class: "quiet" }, fill(said.alike, { percent: number(Math.max(similarity, 0), { style: "percent" }) }))),
      element("div", { class: "doing" }, button(said.yes, "y", () => this.keys().y.run(), "primary"), button(said.no, "n", () => this.no())),
    );
  }

  tile(face, place) {
    const chosen = this.chosen.has(face.face_id);
    const toggle = element(
      "button",
      { class: "tile", type: "button", "aria-pressed": String(chosen), "aria-label": fill(said.choose_face, { n: number(place + 1), count: number(this.faces.length) }), onclick: () => this.toggle(face.face_id, toggle) },
      chip(face.face_id),
    );
    return element("li", {}, toggle, look(face.photo_id));
  }

  toggle(face, tile) {
    if (!this.chosen.delete(face)) this.chosen.add(face);
    tile.setAttribute("aria-pressed", String(this.chosen.has(face)));
    this.doings();
  }

  doings() {
    const count = this.some.length;
    this.doing.replaceChildren(
      button(counted(said, "name_group", count), "m", () => this.name(), this.nearest ? "" : "primary"),
      ...(this.chosen.size ? [button(counted(said, "take_out", count), "o", () => this.out())] : []),
      button(counted(said, "delete", count), "d", () => this.remove()),
      button(said.later, "s", () => this.queue.later(this.card)),
    );
  }

  /** What becomes of the card when some of its faces went: it stays while two are left. */
  without(faces) {
    this.faces = this.faces.filter((face) => !faces.includes(face.face_id));
    this.chosen.clear();
    this.draw();
    return this.faces.length > 1;
  }

  restore(faces) {
    this.faces = faces;
    this.draw();
  }

  name() {
    const faces = this.some;
    const before = this.faces;
    choose(said.whose, { anew: true }, async (person) => {
      setTimeout(() => give(this.queue, this.card, faces, person, { stays: () => this.without(faces), onundo: () => this.restore(before) }));
    });
  }

  no() {
    const { nearest } = this;
    const restore = () => { this.nearest = nearest; this.draw(); };
    not(this.queue, this.card, this.ids, nearest.person, {
      stays: () => { this.nearest = null; this.draw(); return true; },
      onundo: restore,
    });
  }

  out() {
    const out = this.some;
    const before = this.faces;
    const company = this.ids.filter((face) => !out.includes(face)).slice(0, COMPANY);
    if (!company.length) return;
    this.queue.act(
      this.card,
      async () => { for (const face of out) await ask("POST", `faces/${face}/reject`, { json: { face_ids: company } }); },
      {
        text: counted(said, "taken_out", out.length),
        stays: () => this.without(out),
        undo: async () => {
          for (const face of out) for (const other of company) await ask("DELETE", `faces/${face}/reject`, { query: { face_id: other } });
          this.restore(before);
        },
      },
    );
  }

  remove() {
    const faces = this.some;
    remove(this.queue, this.card, faces, { stays: () => this.without(faces) });
  }
}
