// What a page asks of the service when a button is pressed or a form sent: said in the page by attributes, done here.
//
//   <button data-ask="POST models/x/retire">            asks at once
//   <button data-open="dialog">                         opens <dialog id="dialog">, which gives the focus back
//   <form data-ask="POST rebuilds">                     sends its fields as JSON; data-multipart: as they are
//   data-then="section …"                               what is shown anew afterwards, by id; else the whole of #main
//   data-go="/models/rebuilds/{rebuild}"                where to go afterwards
//   data-done="Sentence."                               what is said afterwards

import { ask, announce, element, fill, localTimes, signIn } from "./colega.js";

/** Show parts of the page as they are now, by their ids; one with an open dialog stays. Whether the service has answered. */
export async function showAnew(...ids) {
  const response = await fetch(location.href, { headers: { Accept: "text/html", "HX-Request": "true" } });
  if (response.status === 401) signIn();
  if (!response.ok) return false;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const focused = document.activeElement?.id;
  for (const id of ids) {
    const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
    if (!old || !now || old.querySelector("dialog[open]")) continue;
    for (const open of old.querySelectorAll("details[id][open]")) now.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
    old.replaceWith(document.adoptNode(now));
    localTimes(now);
    document.dispatchEvent(new CustomEvent("shown", { detail: now }));
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
  return true;
}

/** A form's fields as JSON: numbers and checkboxes as such, several of one name (NAME[]) as a list, empty ones left out. */
export function fields(form) {
  const found = {};
  for (const field of form.elements) {
    const { name, type, value } = field;
    if (!name || field.disabled) continue;
    if (name.endsWith("[]")) {
      found[name.slice(0, -2)] ??= [];
      if (type !== "checkbox" || field.checked) found[name.slice(0, -2)].push(value);
    } else if (type === "checkbox") found[name] = field.checked;
    else if (type === "radio") { if (field.checked) found[name] = value; }
    else if (value !== "") found[name] = type === "number" ? Number(value) / Number(field.dataset.over ?? 1) : value;
  }
  return found;
}

async function perform(asking, from) {
  const [method, path] = asking.dataset.ask.split(" ");
  const isForm = asking instanceof HTMLFormElement;
  const what = isForm && asking.dataset.multipart !== undefined ? { form: new FormData(asking) }
    : { json: isForm ? fields(asking) : JSON.parse(asking.dataset.json ?? "{}") };
  const buttons = isForm ? asking.querySelectorAll("button") : [asking];
  buttons.forEach((button) => { button.disabled = true; });
  asking.setAttribute("aria-busy", "true");
  asking.querySelector(".notice.error")?.remove();
  let answer;
  try {
    answer = await ask(method, path, what);
  } catch (problem) {
    if (isForm) {
      const note = element("p", { class: "notice error", role: "alert" }, problem.message);
      (asking.querySelector(".row:last-of-type") ?? from).before(note);
    } else announce(problem.message, "error");
    return;
  } finally {
    buttons.forEach((button) => { button.disabled = false; });
    asking.removeAttribute("aria-busy");
  }
  asking.closest("dialog")?.close();
  if (asking.dataset.go) { location.assign(fill(asking.dataset.go, answer)); return; }
  if (isForm) asking.reset();
  if (asking.dataset.done) announce(fill(asking.dataset.done, answer));
  await showAnew(...(asking.dataset.then ?? "main").split(" "));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-open], button[data-close], button[data-ask]");
  if (!button || button.disabled) return;
  if (button.dataset.open) {
    const dialog = document.getElementById(button.dataset.open);
    dialog.showModal();
    dialog.addEventListener("close", () => document.getElementById(button.id)?.focus(), { once: true });
  } else if (button.dataset.close !== undefined) button.closest("dialog").close();
  else perform(button, button);
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-ask]")) return;
  event.preventDefault();
  perform(event.target, event.submitter ?? event.target.lastElementChild);
});
