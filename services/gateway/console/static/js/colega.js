// What every page's script uses: the service over HTTP, words in the page's language, announcements, times.

export const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

/** The page's words by name, as the template says them: the JSON in <script id="words">, or another one. */
export function words(id = "words") {
  const found = document.getElementById(id);
  return found ? JSON.parse(found.textContent) : {};
}

/** "{name} was added" with its values filled in. */
export const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

export const language = document.documentElement.lang;
export const number = (value, options) => new Intl.NumberFormat(language, options).format(value);
const plural = new Intl.PluralRules(language);

/** "1 photo", "3 photos": `word_one` or `word_other` of *said*. */
export const counted = (said, word, count) =>
  fill(said[`${word}_${plural.select(count)}`] ?? said[`${word}_other`], { count: number(count) });

export const percent = (share, digits = 0) => number(share, { style: "percent", maximumFractionDigits: digits });
export const moment = (time) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));
export const day = (time) => new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(time));

/** Why the service refused or failed: its problem document, or that it does not answer. */
export class Problem extends Error {
  constructor(status, document, retryAfterS = 0) {
    super(document.detail ?? document.title ?? "");
    this.status = status;
    this.retryAfterS = retryAfterS;
    this.type = document.type ?? "";
    this.title = document.title ?? "";
  }
}

/** The address of something below /v1, in the collection that the page is about. */
export function address(path, query = {}) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null && value !== undefined));
  const collection = meta("collection");
  if (collection && collection !== "default") parameters.set("collection", collection);
  const asked = parameters.toString();
  return `/v1/${path}${asked ? `?${asked}` : ""}`;
}

/**
 * Ask the service. Returns its JSON; throws a Problem.
 * @param {string} method
 * @param {string} path below /v1
 * @param {{query?: object, json?: any, form?: FormData, signal?: AbortSignal, headers?: object}} more
 */
export async function ask(method, path, { query, json, form, signal, headers: more } = {}) {
  const headers = { Accept: "application/json", "X-CSRF-Token": meta("csrf-token"), ...more };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path, query), { method, headers, signal, body: json === undefined ? form : JSON.stringify(json) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: words().unreachable });
  }
  document.dispatchEvent(new Event("asked"));
  const text = await response.text();
  const answer = text && /json/.test(response.headers.get("Content-Type") ?? "") ? JSON.parse(text) : {};
  if (response.status === 401) {
    signIn();
    throw new Problem(401, { detail: words().signed_out });
  }
  if (!response.ok) throw new Problem(response.status, { detail: words().unreachable, ...answer }, Number(response.headers.get("Retry-After")) || 0);
  return answer;
}

/** Sign in and come back: the session has ended. Not where the page asks for the key itself (session.js). */
export function signIn() {
  if (document.getElementById("session")?.open) return;
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** Resolves after so many milliseconds. */
export const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** An element with attributes, listeners (onclick: …) and children; strings become text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Tell the reader something in passing: "good", "warn" or "error". An error stays until it is closed. */
export function announce(text, kind = "good") {
  for (const said of document.querySelectorAll("#announcements > .notice")) if (said.firstChild.textContent === text) said.remove();
  const close = element("button", { class: "button small", type: "button", "aria-label": words().close, onclick: () => note.remove() }, "×");
  const note = element("div", { class: `notice ${kind}` }, element("span", {}, text), close);
  document.getElementById("announcements").append(note);
  if (kind !== "error") setTimeout(() => note.remove(), 6000);
}

/** Times in the reader's own zone, wherever the server wrote <time datetime="…">; days where it has data-style="date". */
export function localTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]:not([data-shown])")) {
    time.textContent = time.dataset.style === "date" ? day(time.dateTime) : moment(time.dateTime);
    time.dataset.shown = "";
  }
}

localTimes();
document.addEventListener("htmx:afterSettle", (event) => localTimes(event.target));
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = event.detail;
  if (xhr.status === 401) signIn();
  else announce(/json/.test(xhr.getResponseHeader("Content-Type") ?? "") ? JSON.parse(xhr.responseText).detail : words().unreachable, "error");
});
document.addEventListener("htmx:sendError", () => announce(words().unreachable, "error"));
const menu = document.querySelector("details.menu");
document.addEventListener("click", (event) => { if (menu?.open && !menu.contains(event.target)) menu.open = false; });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && menu?.open) { menu.open = false; menu.querySelector("summary").focus(); }
});
menu?.addEventListener("focusout", (event) => { if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false; });
const current = document.querySelector(".pages [aria-current]"); // scrollIntoView would have Tab begin behind it.
if (current) {
  const nav = current.parentElement;
  nav.scrollLeft = current.offsetLeft - nav.offsetLeft - (nav.clientWidth - current.offsetWidth) / 2;
}
