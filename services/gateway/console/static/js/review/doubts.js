// Photos that may be under a wrong name, and those that are hardly any good.

import { ask, element, fill, percent } from "../colega.js";
import { choose } from "../dialogs.js";
import { remove } from "./groups.js";
import { chip, facesOf, likeness, look, personLink } from "./parts.js";
import { button, said } from "./queue.js";

const SHOWN = 5;

export function doubts() {
  let threshold = 0;
  return {
    keys: { y: fill(said.move_to, { name: "…" }), k: said.keep_photo, n: fill(said.not_name, { name: "…" }), m: said.somebody_else, d: said.delete, s: said.later },
    page: (cursor) => ({
      path: "review/doubtful",
      query: { limit: 20, cursor },
      items: (answer) => { ({ threshold } = answer); return answer.items; },
    }),
    card: (doubt, queue) => doubtful(doubt, queue, threshold),
  };
}

export function poor() {
  return {
    keys: { k: said.keep_photo, n: fill(said.not_name, { name: "…" }), d: said.delete, s: said.later },
    page: (cursor) => ({ path: "review/poor", query: { limit: 20, cursor }, items: (answer) => answer.items }),
    card: (face, queue) => hardly(face, queue),
  };
}

/** What can be done with a face of somebody. */
function doings(queue, card, face) {
  const { person } = face;
  const back = () => ask("PATCH", `faces/${face.id}`, { json: { person_id: person.id } });
  const move = (to) =>
    queue.act(card, () => ask("PATCH", `faces/${face.id}`, { json: { person_id: to.id } }), {
      text: fill(said.named_one, { name: to.name }),
      undo: async () => {
        await back();
        if (to.made) await ask("DELETE", `people/${to.id}`);
      },
    });
  return {
    move,
    keep: () => queue.act(card, () => ask("POST", `faces/${face.id}/confirm`), { text: fill(said.confirmed, { name: person.name }), undo: back }),
    not: () =>
      queue.act(card, () => ask("POST", `faces/${face.id}/reject`, { json: { person_id: person.id } }), {
        text: fill(said.rejected, { name: person.name }),
        undo: back,  // Which takes back that it is not them.
      }),
    other: () => choose(said.whose, { anew: true, except: person.id }, async (to) => { setTimeout(() => move(to)); }),
    remove: () => remove(queue, card, [face.id]),
    later: () => queue.later(card),
  };
}

function doubtful({ face, similarity, nearer, nearer_similarity: level }, queue, threshold) {
  const { person } = face;
  const node = element("article", { class: "card doubt", tabindex: "-1", "aria-label": fill(said.doubt, { name: person.name }) });
  const card = { node, keys: () => keys };
  const can = doings(queue, card, face);
  const keys = {
    ...(nearer && { y: { run: () => can.move(nearer) } }),
    k: { run: can.keep },
    n: { run: can.not },
    m: { run: can.other },
    d: { run: can.remove },
    s: { run: can.later },
  };
  const scale = (name, value) => likeness(name, value, threshold);
  node.append(
    element("div", { class: "shown" }, chip(face.id, "large"), look(face.photo_id)),
    element(
      "div",
      { class: "sides" },
      element(
        "section",
        { class: "side" },
        element("h3", {}, fill(said.doubt, { name: person.name })),
        scale(fill(said.like_own, { percent: "{percent}", name: person.name }), similarity),
        facesOf(person, SHOWN, { but: face.id }),
        element("div", { class: "doing" }, button(said.keep_photo, "k", can.keep), button(fill(said.not_name, { name: person.name }), "n", can.not)),
      ),
      nearer &&
        element(
          "section",
          { class: "side" },
          element("h3", {}, fill(said.is_this, { name: nearer.name })),
          scale(fill(said.like_other, { percent: "{percent}", name: nearer.name }), level),
          facesOf(nearer, SHOWN),
          element("div", { class: "doing" }, button(fill(said.move_to, { name: nearer.name }), "y", () => can.move(nearer), level > similarity ? "primary" : "")),
        ),
    ),
    element("div", { class: "doing last" }, button(said.somebody_else, "m", can.other), button(said.delete, "d", can.remove), button(said.later, "s", can.later)),
  );
  return card;
}

function hardly(face, queue) {
  const { person } = face;
  const node = element("article", { class: "card one", tabindex: "-1", "aria-label": fill(said.poor, { name: person.name }) });
  const card = { node, keys: () => keys };
  const can = doings(queue, card, face);
  const keys = { k: { run: can.keep }, n: { run: can.not }, d: { run: can.remove }, s: { run: can.later } };
  node.append(
    element("div", { class: "shown" }, chip(face.id, "large"), look(face.photo_id)),
    element("div", { class: "asked" }, element("h3", {}, personLink(person)), element("p", { class: "quiet" }, fill(said.quality, { percent: percent(face.quality.value) }))),
    element(
      "div",
      { class: "doing" },
      button(said.keep_photo, "k", can.keep),
      button(said.delete, "d", can.remove),
      button(fill(said.not_name, { name: person.name }), "n", can.not),
      button(said.later, "s", can.later),
    ),
  );
  return card;
}
