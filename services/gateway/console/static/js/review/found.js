// Faces that a rebuild has found more than once: somebody says which one it is.

import { ask, element, fill, number } from "../colega.js";
import { chip, look } from "./parts.js";
import { button, said } from "./queue.js";

export function found({ rebuild, waiting }) {
  return {
    total: Number(waiting),
    keys: { 1: fill(said.candidate, { n: "1" }), n: said.none, s: said.later },
    page: (cursor) => ({
      path: `rebuilds/${rebuild}/findings`,
      query: { kind: "ambiguous", limit: 20, cursor },
      items: (answer) => answer.items.filter((finding) => !finding.decided && finding.face_id),
    }),
    card: (finding, queue) => made(finding, queue, rebuild),
  };
}

function made(finding, queue, rebuild) {
  const title = element("h3", {}, said.found);
  const node = element("article", { class: "card which", tabindex: "-1", "aria-label": said.found });
  const card = { node, keys: () => keys };
  const decide = (candidate) =>
    queue.act(card, () => ask("POST", `rebuilds/${rebuild}/findings/${finding.number}/decide`, { json: { candidate } }), { text: said.decided });
  const keys = { n: { run: () => decide(null) }, s: { run: () => queue.later(card) } };
  finding.candidates.slice(0, 9).forEach((candidate, place) => { keys[place + 1] = { run: () => decide(candidate) }; });
  ask("GET", `faces/${finding.face_id}`).then(
    ({ person }) => { title.textContent = person ? fill(said.found_name, { name: person.name }) : said.found_nobody; },
    () => {},
  );
  node.append(
    title,
    element(
      "ul",
      { class: "faces" },
      element("li", {}, chip(finding.face_id), finding.photo_id && look(finding.photo_id), element("span", { class: "quiet" }, said.before)),
      finding.candidates.map((candidate, place) =>
        element("li", {}, chip(candidate), button(fill(said.candidate, { n: number(place + 1) }), place < 9 ? String(place + 1) : null, () => decide(candidate), "small")),
      ),
    ),
    element("div", { class: "doing" }, button(said.none, "n", () => decide(null)), button(said.later, "s", () => queue.later(card))),
  );
  return card;
}
