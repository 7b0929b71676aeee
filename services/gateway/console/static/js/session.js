// The session: that it is about to end is said while there is time, and mended without losing the page.

import { announce, meta, number, words, fill } from "./colega.js";

const said = words("words-session");
const dialog = document.getElementById("session");
const form = dialog.querySelector("form");
const key = form.elements.key;
const WARN_S = 300;
const LOOK_MS = 15_000;
const address = `/session?collection=${encodeURIComponent(meta("collection"))}`; // A key may be limited to some.
const USED = "colega:used";
const RENEWED = "colega:renewed";

const now = () => Date.now() / 1000;
let { longest, idle } = JSON.parse(meta("session"));
let endsAt = now() + longest;

/** When this browser last asked for anything: a page in another tab counts. */
const used = () => Math.max(Number(localStorage.getItem(USED)) || 0, startedAt);
const startedAt = now();
const note = () => localStorage.setItem(USED, String(now()));

function look() {
  const left = Math.min(endsAt, used() + idle) - now();
  const isLast = endsAt - now() < WARN_S;
  if (left > WARN_S) { if (dialog.open && !isLast) dialog.close(); return; }
  show(isLast || left <= 0, left);
}

function show(needsKey, left) {
  form.querySelector("[data-key]").hidden = !needsKey;
  key.required = needsKey;
  const minutes = Math.max(Math.ceil(left / 60), 1);
  const unit = number(minutes, { style: "unit", unit: "minute", unitDisplay: "long" });
  form.querySelector("[data-left]").textContent = left <= 0 ? said.ended : fill(said.left, { time: unit });
  if (!dialog.open) dialog.showModal();
}

function renewed(answer) {
  ({ longest, idle } = answer);
  endsAt = now() + longest;
  note();
  document.querySelector('meta[name="csrf-token"]').content = answer.csrf_token;
  document.body.setAttribute("hx-headers", JSON.stringify({ "X-CSRF-Token": answer.csrf_token }));
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = answer.csrf_token;
}

async function renew() {
  const headers = { Accept: "application/json" };
  const response = key.required
    ? await fetch("/sign-in", { method: "POST", headers, body: new URLSearchParams({ key: key.value }) })
    : await fetch(address, { headers });
  if (response.ok) return response.json();
  if (!key.required) { endsAt = 0; throw new Error(said.ended); }
  throw new Error((await response.json()).detail);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [button, refused] = [form.querySelector("button"), form.querySelector("[role=alert]")];
  button.disabled = true;
  refused.hidden = true;
  try {
    renewed(await renew());
    if (key.required) localStorage.setItem(RENEWED, String(now()));
    key.value = "";
    dialog.close();
    announce(said.renewed);
  } catch (problem) {
    refused.textContent = problem instanceof TypeError ? words().unreachable : problem.message;
    refused.hidden = false;
    look();
    if (key.required) key.focus();
  } finally {
    button.disabled = false;
  }
});
addEventListener("storage", async (event) => {
  if (event.key !== RENEWED) return;
  const response = await fetch(address, { headers: { Accept: "application/json" } });
  if (!response.ok) return;
  renewed(await response.json());
  if (dialog.open) dialog.close();
});
document.addEventListener("asked", note);
document.addEventListener("htmx:afterRequest", note);
document.addEventListener("visibilitychange", look);
note();
setInterval(look, LOOK_MS);
