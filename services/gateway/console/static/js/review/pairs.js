// People who may be one under two names: merged, or told apart.

import { ask, element, fill, number } from "../colega.js";
import { facesOf, personLink, photosOf, whole } from "./parts.js";
import { button, said } from "./queue.js";

const SHOWN = 6;

export function pairs() {
  return {
    keys: { 1: fill(said.keep, { name: "1" }), 2: fill(said.keep, { name: "2" }), n: said.two, s: said.later },
    page: (cursor) => ({ path: "people/alike", query: { limit: 10, cursor }, items: (answer) => answer.items }),
    card: (pair, queue) => made(pair, queue),
  };
}

function made({ people, similarity }, queue) {
  const [one, other] = people;
  const names = { one: one.name, other: other.name };
  const node = element("article", { class: "card pair", tabindex: "-1", "aria-label": fill(said.pair, names) });
  const card = { node, keys: () => keys };

  const merge = (stays, goes) => {
    let merged;
    return queue.act(card, async () => { merged = await ask("POST", `people/${goes.id}/merge`, { json: { into: stays.id } }); }, {
      text: fill(said.merged, { gone: goes.name, name: stays.name }),
      undo: () => ask("POST", `merges/${merged.merge}/undo`),
    });
  };
  const apart = () =>
    queue.act(card, () => ask("POST", `people/${one.id}/distinct`, { json: { from: [other.id] } }), {
      text: fill(said.are_two, names),
      undo: () => ask("DELETE", `people/${one.id}/distinct`, { query: { from: other.id } }),
    });

  const side = (person, rival, key) => {
    const photos = element("span", { class: "quiet" });
    whole(person.id).then((found) => { photos.textContent = [person.external_id, photosOf(found.faces)].filter(Boolean).join(" · "); }, () => {});
    return element(
      "section",
      { class: "side" },
      element("h3", {}, personLink(person)),
      photos,
      facesOf(person, SHOWN, { size: "" }),
      button(fill(said.keep, { name: person.name }), key, () => merge(person, rival)),
    );
  };
  const sides = element("div", { class: "sides" }, side(one, other, "1"), side(other, one, "2"));
  const keys = {
    1: { run: () => merge(one, other) },
    2: { run: () => merge(other, one) },
    n: { run: apart },
    s: { run: () => queue.later(card) },
  };
  node.append(
    element("p", { class: "quiet" }, fill(said.alike, { percent: number(similarity, { style: "percent" }) })),
    sides,
    element("div", { class: "doing" }, button(said.two, "n", apart), button(said.later, "s", keys.s.run)),
  );
  // Nobody decides before the faces are there; and when they come the buttons move, away from under a click.
  const buttons = [...node.querySelectorAll("button")];
  buttons.forEach((each) => { each.disabled = true; });
  Promise.allSettled(people.map((person) => whole(person.id))).then(() => buttons.forEach((each) => { each.disabled = false; }));
  return card;
}
