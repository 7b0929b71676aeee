// What is doubtful about a person's faces: said under each, as Review would say it.

import { ask, element, fill } from "../colega.js";

const MOST = 100;
let known = new Map();

/** Ask what is doubtful, and mark it. Shown when it can be had; the page is whole without it. */
export async function hints(person, said) {
  known = new Map();
  const asked = { person_id: person.id, limit: MOST };
  const none = { items: [] };
  const [poor, unlike] = await Promise.all([
    ask("GET", "review/poor", { query: asked }).catch(() => none),
    person.faces > 1 ? ask("GET", "review/doubtful", { query: asked }).catch(() => none) : none,
  ]);
  for (const face of poor.items) known.set(face.id, said.poor);
  for (const { face, nearer, similarity, nearer_similarity } of unlike.items) known.set(face.id, nearer && nearer_similarity > similarity ? fill(said.nearer, { name: nearer.name }) : said.unlike);
  mark();
}

/** Mark the faces that are shown now. */
export function mark() {
  for (const [id, text] of known) {
    const button = document.getElementById(id);
    if (button && !button.querySelector(".badge")) button.append(element("span", { class: "badge warn" }, text));
  }
}
