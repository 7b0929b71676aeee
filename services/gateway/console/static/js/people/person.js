// One person: renamed, described, added to, and what is done with each photo. Merging and erasing are in files of their own.

import { address, announce, ask, day, element, fill, percent, words } from "../colega.js";
import { adding } from "./adding.js";
import { back, busy, choose, complain, confirm, goAndTell, move, offer, open, showAnew, told } from "../dialogs.js";
import { erasing } from "./erasing.js";
import { hints, mark } from "./hints.js";
import { alike, merging, undo } from "./merging.js";
import { explained } from "../reasons.js";

const said = words("words-person");
const page = document.getElementById("person");
const id = page.dataset.id;
const mayManage = page.dataset.may.includes("manage");

/** Who it is, as the page has them now. */
const person = () => JSON.parse(document.getElementById("head").dataset.person);

/** The page as it is now; where they are gone meanwhile, the page that says so. */
async function shown() {
  await showAnew("#person");
  document.title = `${person().name} · colega`;
  ready();
}

/** Change something, unless somebody else has changed it since it was shown. */
async function change(json) {
  const version = document.getElementById("head").dataset.version;
  try {
    return await ask("PATCH", `people/${id}`, { json, headers: { "If-Match": `"${version}"` } });
  } catch (problem) {
    if (problem.status === 404) return location.reload();
    if (problem.status === 409) problem.ours = said.taken;
    if (problem.status !== 412) throw problem;
    await shown();
    announce(said.changed_meanwhile, "error");
    return null;
  }
}

function renaming() {
  const [button, form] = [document.getElementById("rename-open"), document.getElementById("rename")];
  if (!button) return;
  const field = form.querySelector("input");
  const show = (is) => {
    form.hidden = !is;
    document.getElementById("name").hidden = button.hidden = is;
    button.setAttribute("aria-expanded", String(is));
    if (is) { field.value = person().name; field.select(); } else button.focus();
  };
  button.onclick = () => show(true);
  form.querySelector("#rename-close").onclick = () => show(false);
  form.onkeydown = (event) => { if (event.key === "Escape") show(false); };
  form.onsubmit = (event) => {
    event.preventDefault();
    busy(form, async () => {
      try {
        const changed = await change({ name: field.value });
        if (!changed) return;
        await shown();
        document.getElementById("rename-open").focus();
        announce(fill(said.renamed, { name: changed.name }));
      } catch (problem) {
        complain(form, problem);
        field.focus();
      }
    });
  };
}

function describing() {
  const button = document.getElementById("details-open");
  if (!button) return;
  const dialog = document.getElementById("details");
  const expires = dialog.querySelector("#details-expires");
  const [form, list, external] = [dialog.querySelector("form"), dialog.querySelector("#attributes"), dialog.querySelector("#details-external")];
  const line = (name = "", value = "") => {
    const row = element(
      "div",
      { class: "attribute" },
      element("input", { "aria-label": said.attribute, placeholder: said.attribute, value: name, maxlength: "100", autocomplete: "off" }),
      element("input", { "aria-label": said.value, placeholder: said.value, value, maxlength: "1000", autocomplete: "off" }),
      element("button", { class: "button small", type: "button", onclick: () => { row.remove(); dialog.querySelector("#attribute-more").focus(); } }, said.remove),
    );
    list.append(row);
    return row;
  };
  dialog.querySelector("#attribute-more").onclick = () => line().querySelector("input").focus();
  button.onclick = () => {
    external.value = person().external_id ?? "";
    expires.value = person().expires_at ?? "";
    list.replaceChildren();
    for (const [name, value] of Object.entries(person().attributes)) line(name, value);
    if (!list.children.length) line();
    open(dialog, external);
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    const rows = [...list.children].map((row) => [...row.querySelectorAll("input")].map((field) => field.value.trim()));
    const attributes = Object.fromEntries(rows.filter(([name]) => name));
    const json = { attributes };
    if (expires.value !== (person().expires_at ?? "")) json.expires_at = expires.value || null;
    if (external.value.trim()) json.external_id = external.value.trim();
    busy(dialog, async () => {
      try {
        const changed = await change(json);
        dialog.close();
        if (!changed) return;
        await shown();
        document.getElementById("details-open").focus();
        announce(said.saved);
      } catch (problem) {
        complain(dialog, problem);
      }
    });
  };
}

/** Recording that they have agreed; withdrawn, they are erased. */
function consenting() {
  const button = document.getElementById("consent-open");
  if (!button) return;
  const named = (sentence) => fill(sentence, { name: person().name });
  button.onclick = () => {
    if (person().consent) {
      confirm(said.withdraw, named(said.withdraw_says), said.withdraw, async () => {
        const gone = named(said.erased);
        await ask("DELETE", `people/${id}/consent`);
        goAndTell(`/people${location.search.startsWith("?collection=") ? location.search : ""}`, gone);
      });
    } else {
      confirm(said.consent, named(said.consent_says), said.consent, async () => {
        await ask("POST", `people/${id}/consent`, { json: {} });
        await shown();
        announce(named(said.consent_done));
      });
    }
  };
}

/** The dialog of one face: where it is in its photo, how good it is, and what can be done with it. */
function looking(button) {
  const face = JSON.parse(button.dataset.face);
  const dialog = document.getElementById("face");
  dialog.querySelector("#face-shown").replaceChildren(boxed(face));
  const facts = [[said.file, face.file], [said.taken_in, day(face.at)]];
  if (face.quality) {
    facts.push([said.quality, percent(face.quality.value)]);
    for (const [name, label] of Object.entries(said.parts)) if (name in face.quality) facts.push([label, percent(face.quality[name])]);
  }
  dialog.querySelector("#face-facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  dialog.querySelector("#face-photo").href = face.url;
  if (mayManage) {
    const leaving = (work) => () => { dialog.close(); work(); };
    dialog.querySelector("#face-move").onclick = leaving(() =>
      choose(said.whose, { anew: true, nobody: true, except: id }, (who) => move(face.id, who, id, said, shown)));
    dialog.querySelector("#face-not").onclick = () => busy(dialog, () => notThem(dialog, face));
    dialog.querySelector("#face-delete").onclick = leaving(() => confirm(said.delete_face, said.delete_face_says, said.delete, async () => {
      await ask("DELETE", `faces/${face.id}`);
      await shown();
      announce(said.face_deleted);
    }));
    dialog.querySelector("#face-delete-photo").onclick = leaving(() => confirm(said.delete_photo, said.delete_photo_says, said.delete, async () => {
      await ask("DELETE", `photos/${face.photo}`);
      await shown();
      announce(said.photo_deleted);
    }));
  }
  open(dialog, dialog.querySelector("[data-close]"));
}

async function notThem(dialog, face) {
  try {
    await ask("POST", `faces/${face.id}/reject`, { json: { person_id: id } });
  } catch (problem) {
    dialog.close();
    announce(explained(problem), "error");
    return;
  }
  dialog.close();
  const name = person().name;
  await shown();
  offer(fill(said.not_them, { name }), said.undo, () => back(face.id, id, said, shown));
}

/** A photo, small, with the box of one face. */
function boxed({ id: face, thumbnail, width, height, box }) {
  if (!thumbnail || !width) return element("img", { class: "face large", src: address(`faces/${face}/chip`), alt: "", width: "224", height: "224" });
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-hidden", "true");
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  ["x", "y", "width", "height"].forEach((name, place) => rect.setAttribute(name, box[place]));
  svg.append(rect);
  const small = Math.min(1, 320 / Math.max(width, height));
  return element("div", { class: "boxed" }, element("img", { src: thumbnail, alt: "", width: String(Math.round(width * small)), height: String(Math.round(height * small)) }), svg);
}

/** What has to be done whenever the page was shown anew. */
function ready() {
  renaming();
  describing();
  consenting();
  adding(id, said, shown);
  merging(person, said);
  erasing(person, said);
  alike(person, said, page.dataset.may);
  hints(person(), said);
}

page.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-face], button[data-undo]");
  if (button?.dataset.face) looking(button);
  else if (button) busy(button.closest("li"), () => undo(button.dataset.undo, said, shown));
});
document.addEventListener("htmx:afterSettle", mark);
told((merge) => undo(merge, said, shown));
ready();
