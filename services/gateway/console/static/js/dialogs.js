// Dialogs that pages about people share, and what is told after something was done: with a way back where there is one.

import { announce, ask, element, words } from "./colega.js";
import { Picker } from "./picker.js";
import { explained } from "./reasons.js";

const TOLD = "colega-told";

/** Open a <dialog>; it gives the focus back, and what is behind does not move. */
export function open(dialog, first = null) {
  const before = document.activeElement;
  dialog.querySelectorAll(".notice.error").forEach((note) => { note.hidden = true; });
  dialog.showModal();
  (first ?? dialog.querySelector("input:not([type=hidden]), button"))?.focus();
  dialog.addEventListener("close", () => {
    const again = before?.isConnected ? before : before?.id ? document.getElementById(before.id) : null;
    (again ?? document.querySelector("h1"))?.focus({ preventScroll: true });
  }, { once: true });
}

document.addEventListener("click", (event) => {
  if (event.target.closest("dialog [data-close]")) event.target.closest("dialog").close();
});

/** Say in *dialog* (or any element with a notice) why it did not work. */
export function complain(place, problem) {
  const note = place.querySelector(".notice.error");
  note.textContent = problem.ours ?? explained(problem);
  note.hidden = false;
}

/** Do something while the buttons of *place* wait. */
export async function busy(place, work) {
  const buttons = [...place.querySelectorAll("button:not(:disabled)")];
  buttons.forEach((button) => { button.disabled = true; });
  place.setAttribute("aria-busy", "true");
  try {
    return await work();
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
    place.removeAttribute("aria-busy");
  }
}

/** Ask whether one is sure, then do it; the dialog stays, with the reason, where it does not work. */
export function confirm(title, says, label, work) {
  const dialog = document.getElementById("confirm");
  const go = dialog.querySelector("#confirm-go");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("#confirm-says").textContent = says;
  go.textContent = label;
  go.onclick = () => busy(dialog, async () => {
    try {
      await work();
      dialog.close();
    } catch (problem) {
      complain(dialog, problem);
    }
  });
  open(dialog, dialog.querySelector("[data-close]"));
}

let picker = null;

/**
 * Have somebody chosen. *work* gets a person; null where "nobody's" is chosen, which is offered if *nobody* says so.
 * @param {string} title
 * @param {{anew?: boolean, nobody?: boolean, except?: string}} offered whether somebody new may be made; whom not to choose
 * @param {(person: object | null) => Promise<void>} work
 */
export function choose(title, { anew = false, nobody = false, except = null }, work) {
  const dialog = document.getElementById("choose");
  const [form, known, fresh, none] = ["form", "#choose-known", "#choose-new", "#choose-nobody"].map((what) => dialog.querySelector(what));
  const see = () => {
    known.disabled = !picker.person || picker.person.id === except;
    fresh.disabled = Boolean(picker.person) || !picker.complete;
  };
  picker ??= new Picker(dialog.querySelector(".picker"), { onchange: () => dialog.see() });
  dialog.see = see;
  dialog.querySelector("h2").textContent = title;
  fresh.hidden = !anew;
  none.hidden = !nobody;
  picker.consent?.closest("label").toggleAttribute("hidden", !anew);
  picker.reset();
  const finish = (who) => busy(dialog, async () => {
    try {
      await work(await who());
      dialog.close();
    } catch (problem) {
      complain(dialog, problem);
    }
  }).then(see);
  const theirs = async () => {
    const { person, agreed } = picker;
    if (agreed) await ask("POST", `people/${person.id}/consent`, { json: { given_at: agreed } });
    return person;
  };
  const made = async () => {
    const { name, agreed } = picker;
    return { ...(await ask("POST", "people", { json: agreed ? { name, consent_given_at: agreed } : { name } })), made: true };
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    if (picker.person && !known.disabled) finish(theirs);
  };
  fresh.onclick = () => finish(made);
  none.onclick = () => finish(async () => null);
  open(dialog, picker.input);
}

/** Tell that something was done, with a button that undoes it. */
export function offer(text, label, undo) {
  announce(text);
  const note = document.getElementById("announcements").lastElementChild;
  const button = element("button", { class: "button small", type: "button", onclick: () => { note.remove(); undo(); } }, label);
  note.lastElementChild.before(button);
}

/** Go to another page and tell there what was done here. */
export function goAndTell(url, text, merge = null) {
  sessionStorage.setItem(TOLD, JSON.stringify({ text, merge }));
  location.assign(url);
}

/** Tell what was done on the page before. *undo* takes a merge back. */
export function told(undo = null) {
  const kept = sessionStorage.getItem(TOLD);
  sessionStorage.removeItem(TOLD);
  if (!kept) return;
  const { text, merge } = JSON.parse(kept);
  if (merge && undo) offer(text, words("words-person").undo, () => undo(merge));
  else announce(text);
}

/** Show a part of the page, or what follows in it, as it is now. */
export const showAnew = (target) =>
  htmx.ajax("GET", location.pathname + location.search, { target, swap: "innerHTML" });

/** Give a face to somebody, or to nobody; the way back is offered. *from* has it now. */
export async function move(face, person, from, said, shown) {
  await ask("PATCH", `faces/${face}`, { json: { person_id: person?.id ?? null } });
  await shown();
  const text = person ? said.moved.replace("{name}", person.name) : said.moved_nobody;
  offer(text, said.undo, () => back(face, from, said, shown));
}

export async function back(face, from, said, shown) {
  try {
    await ask("PATCH", `faces/${face}`, { json: { person_id: from } });
    await shown();
    announce(said.back);
  } catch (problem) {
    announce(explained(problem), "error");
  }
}
