// What cards are made of: faces, people, and a look at the photo.

import { address, ask, counted, element, fill, meta, percent } from "../colega.js";
import { open } from "../dialogs.js";
import { said } from "./queue.js";

const collection = meta("collection");
const here = collection && collection !== "default" ? `?collection=${encodeURIComponent(collection)}` : "";

export const chip = (face, size = "", alt = "") =>
  element("img", { class: `face ${size}`, src: address(`faces/${face}/chip`), alt, width: "224", height: "224", loading: "lazy" });

export const personLink = (person) => element("a", { href: `/people/${encodeURIComponent(person.id)}${here}` }, person.name);

/** A button that shows the photo a face is in. */
export const look = (photo) =>
  element("button", { class: "look", type: "button", title: said.photo, "aria-label": said.photo, onclick: () => shown(photo) }, magnifier());

function shown(photo) {
  const dialog = document.getElementById("look");
  dialog.querySelector("#look-shown").replaceChildren(element("img", { src: address(`photos/${photo}/thumbnail`), alt: "", class: "whole" }));
  dialog.querySelector("#look-photo").href = `/photos/${encodeURIComponent(photo)}${here}`;
  open(dialog, dialog.querySelector("[data-close]"));
}

function magnifier() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 24 24", width: "18", height: "18", fill: "none", stroke: "currentColor", "stroke-width": "2.5", "stroke-linecap": "round", "aria-hidden": "true" })) svg.setAttribute(name, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5");
  svg.append(path);
  return svg;
}

const known = new Map();

/** Somebody with their faces, asked for once a page. */
export function whole(id) {
  if (!known.has(id)) known.set(id, ask("GET", `people/${id}`).catch((problem) => { known.delete(id); throw problem; }));
  return known.get(id);
}

/** Faces of somebody, when they have come: at most *most*, without one that is shown already. */
export function facesOf(person, most, { size = "small", but = null } = {}) {
  const list = element("ul", { class: "strip", "aria-label": fill(said.others, { name: person.name }) });
  for (let place = 0; place < most; place += 1) list.append(element("li", { class: "awaited" }, element("span", { class: `face ${size}` })));
  whole(person.id).then(
    ({ shown_in: faces }) => {
      const some = faces.filter((face) => face.has_chip && face.id !== but).slice(0, most);
      list.replaceChildren(...some.map((face) => element("li", {}, chip(face.id, size))));
      list.hidden = some.length === 0;
    },
    () => { list.hidden = true; },  // Gone: the catalog says so when something is done.
  );
  return list;
}

export const photosOf = (count) => counted(said, "photos", count);

/** How alike two are, in words and as a bar; *marked* is where the threshold is. */
export function likeness(text, similarity, marked, good = similarity >= marked) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ class: `bar${good ? " accepted" : ""}`, viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" })) svg.setAttribute(name, value);
  const part = (kind, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    svg.append(made);
  };
  const wide = Math.max(0, Math.min(100, 100 * similarity));
  part("rect", { class: "ground", width: 100, height: 6, rx: 3 });
  part("rect", { class: "value", width: wide, height: 6, rx: 3 });
  part("line", { class: "threshold", x1: 100 * marked, x2: 100 * marked, y1: 0, y2: 6, "vector-effect": "non-scaling-stroke" });
  return element("div", { class: "likeness" }, element("span", { class: "quiet" }, fill(text, { percent: percent(Math.max(0, similarity)) })), svg);
}
