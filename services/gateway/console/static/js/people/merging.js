// Two people who are one: side by side, how alike they are, what a merge does, and the way back.

import { address, announce, ask, counted, element, fill, number, percent } from "../colega.js";
import { busy, choose, complain, goAndTell, open } from "../dialogs.js";
import { explained } from "../reasons.js";

const MOST_ALIKE = 4;

const at = (person) => `/people/${encodeURIComponent(person.id)}${location.search.startsWith("?collection=") ? location.search : ""}`;
const picture = (person, size) =>
  person.face_id
    ? element("img", { class: `face ${size}`, src: address(`faces/${person.face_id}/chip`), alt: "", width: "224", height: "224" })
    : element("span", { class: `face ${size}` });

/** Bring back who was merged away. */
export async function undo(merge, said, shown) {
  try {
    const undone = await ask("POST", `merges/${merge}/undo`);
    await shown();
    announce(fill(said.undone, { name: undone.person.name }));
  } catch (problem) {
    announce(problem.status === 409 ? said.cannot_undo : explained(problem), "error");
  }
}

export function merging(person, said) {
  const button = document.getElementById("merge-open");
  if (!button) return;
  button.onclick = () =>
    choose(said.whom, { except: person().id }, async (other) => { setTimeout(() => beside(person(), other, said)); });
}

/** The dialog with both. */
function beside(here, other, said) {
  const dialog = document.getElementById("merge");
  const go = dialog.querySelector("#merge-go");
  let stays = here;
  const says = () => {
    const goes = stays === here ? other : here;
    const values = { gone: goes.name, name: stays.name, count: number(goes.faces), days: number(here.days) };
    dialog.querySelector("#merge-says").textContent = fill(said.merge_says, values);
  };
  const side = (one) =>
    element(
      "label",
      { class: "side" },
      picture(one, "large"),
      element("span", { class: "name" }, one.name),
      element("span", { class: "quiet" }, [one.external_id, counted(said, "photos", one.faces)].filter(Boolean).join(" · ")),
      element("span", { class: "choice" }, element("input", { type: "radio", name: "stays", checked: one === stays, onchange: () => { stays = one; says(); } }), fill(said.remains, { name: one.name })),
    );
  dialog.querySelector("#merge-sides").replaceChildren(side(here), side(other));
  says();
  compare(dialog.querySelector("#merge-alike"), here, other, said);
  go.onclick = () => busy(dialog, async () => {
    const goes = stays === here ? other : here;
    try {
      const merged = await ask("POST", `people/${goes.id}/merge`, { json: { into: stays.id } });
      goAndTell(at(stays), fill(said.merged, { gone: goes.name, name: stays.name }), merged.merge);
    } catch (problem) {
      complain(dialog, problem);
    }
  });
  open(dialog, dialog.querySelector("input"));
}

async function compare(place, one, other, said) {
  const say = (...what) => place.replaceChildren(...what);
  if (!one.face_id || !other.face_id) { say(element("p", { class: "quiet" }, said.no_faces)); return; }
  say(element("p", { class: "quiet" }, said.comparing));
  let found;
  try {
    found = await ask("POST", "verify", { json: { face_id_a: one.face_id, face_id_b: other.face_id } });
  } catch {
    say(element("p", { class: "quiet" }, said.cannot_compare));
    return;
  }
  const sentence = fill(found.same ? said.alike_yes : said.alike_no, { value: number(found.similarity, { maximumFractionDigits: 2 }) });
  say(bar(found), element("p", { class: found.same ? "" : "notice warn" }, [sentence, strangers(found.fmr, said)].filter(Boolean).join(" ")));
}

/** A false-match rate in words; nothing without a calibration. */
const strangers = (fmr, said) => (fmr ? fill(said.alike_fmr, { count: number(Number((1 / fmr).toPrecision(2)), { maximumFractionDigits: 0 }) }) : "");

function bar({ similarity, threshold, same }) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const part = (tag, values) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(values)) made.setAttribute(name, value);
    svg.append(made);
  };
  svg.setAttribute("class", same ? "bar accepted" : "bar");
  svg.setAttribute("viewBox", "0 0 100 6");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  part("rect", { class: "ground", width: 100, height: 6, rx: 1 });
  part("rect", { class: "value", width: 100 * Math.max(0, similarity), height: 6, rx: 1 });
  part("line", { class: "threshold", x1: 100 * threshold, x2: 100 * threshold, y1: 0, y2: 6, "vector-effect": "non-scaling-stroke" });
  return svg;
}

/** Who looks like them, so much that it may be one person. */
export async function alike(person, said, may) {
  const section = document.getElementById("alike");
  const here = person();
  if (!here.face_id || !may.includes("search")) return;
  let found, distinct;
  try {
    found = await ask("POST", "search", { query: { k: MOST_ALIKE }, json: { face_id: here.face_id } });
    distinct = await ask("GET", `people/${here.id}/distinct`).catch(() => ({ items: [] }));
  } catch {
    return;  // Shown when it can be had; the page is whole without it.
  }
  const apart = new Set((distinct.items ?? []).map((one) => one.id));
  const others = (found.faces[0]?.matches ?? []).filter((match) => match.accepted && match.person.id !== here.id && !apart.has(match.person.id));
  if (!others.length || !section.isConnected) return;
  section.querySelector("ul").replaceChildren(...others.map((match) => {
    const other = { ...match.person, face_id: match.face_id };
    const line = element(
      "li",
      {},
      picture(other, "small"),
      element("span", { class: "grow" }, element("a", { href: at(other) }, other.name), " ", element("span", { class: "quiet" }, percent(match.similarity))),
    );
    if (may.includes("manage")) {
      line.append(
        element("button", { class: "button small", type: "button", onclick: async () => beside(here, { ...(await ask("GET", `people/${other.id}`)) }, said) }, said.compare),
        element("button", { class: "button small", type: "button", onclick: () => busy(line, () => apartFrom(line, here, other, said)) }, said.distinct),
      );
    }
    return line;
  }));
  section.hidden = false;
}

async function apartFrom(line, here, other, said) {
  try {
    await ask("POST", `people/${here.id}/distinct`, { json: { from: [other.id] } });
  } catch (problem) {
    announce(explained(problem), "error");
    return;
  }
  const section = line.closest("section");
  line.remove();
  if (!section.querySelector("li")) section.hidden = true;
  document.getElementById("pictures-title").focus();
  announce(fill(said.distinct_done, { name: other.name }));
}
