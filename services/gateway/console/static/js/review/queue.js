// A queue: cards that are worked through one after the other, by buttons or keys, with a way back from the last.

import { announce, ask, counted, element, fill, later, number, words } from "../colega.js";
import { busy, complain, offer } from "../dialogs.js";
import { explained } from "../reasons.js";

export const said = words("words-review");

const FEW = 4;
const SOON_MS = 400;
const AGAIN_S = 2;
const KEYS_OFF = "colega-review-keys-off";
const $ = (id) => document.getElementById(id);

/**
 * A card: {node, keys}. *keys* are what can be done with it: {y: {label, run}}.
 * A kind: {page(cursor) → {path, query, items(answer)}, card(item, queue) → card or null}.
 */
export class Queue {
  #kind;
  #changed;
  #cards = [];
  #cursor = null;
  #beyond = 0;
  #loading = false;
  #last = null;
  #after = 0;
  #sequence = Infinity;
  #head = Number(document.getElementById("review").dataset.head);
  #place = $("queue");

  constructor(kind, { changed }) {
    this.#kind = kind;
    this.#changed = changed;
    $("more").onclick = () => this.#load();
    $("problem").querySelector("button").onclick = () => { $("problem").hidden = true; this.#load(); };
    document.addEventListener("keydown", (event) => this.#key(event));
    $("keys-on").checked = localStorage.getItem(KEYS_OFF) === null;
    $("keys-on").onchange = () => ($("keys-on").checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1"));
  }

  async begin() {
    this.#cursor = undefined;
    await this.#load();
  }

  /** Look for more until some are there or there are none. */
  async #load() {
    if (this.#loading || this.#cursor === null) return;
    this.#loading = true;
    $("more").hidden = true;
    try {
      const before = this.#cards.length;
      while (this.#cursor !== null && this.#cards.length < before + 1) await this.#page();
      if (!this.#cards.length && this.#sequence < this.#head && !this.#after) {  // Something has changed since they were compared.
        this.#after = this.#head;
        this.#cursor = undefined;
        while (this.#cursor !== null && !this.#cards.length) await this.#page();
      }
    } catch (problem) {
      $("problem").querySelector("p").textContent = explained(problem);
      $("problem").hidden = false;
      return;
    } finally {
      this.#loading = false;
      this.#compared();
    }
    this.#told();
  }

  async #page() {
    const { path, query, items } = this.#kind.page(this.#cursor ?? null);
    const answer = await this.#patiently(path, this.#after ? { ...query, after: this.#after } : query);
    this.#sequence = answer.sequence ?? Infinity;
    const limit = query.limit;
    this.#beyond = Math.max((this.#cursor === undefined ? answer.total ?? this.#kind.total ?? 0 : this.#beyond) - limit, 0);
    this.#cursor = answer.next_cursor;
    for (const item of items(answer)) {
      const card = this.#kind.card(item, this);
      if (!card) continue;
      this.#cards.push(card);
      this.#place.append(card.node);
    }
    this.#keysShown();
  }

  /** Ask until it has been worked out, which takes a large collection a minute. */
  async #patiently(path, query) {
    const soon = setTimeout(() => this.#comparing(said.loading), SOON_MS);
    try {
      for (;;) {
        try {
          return await ask("GET", path, { query });
        } catch (problem) {
          if (problem.status !== 503 && problem.status !== 429) throw problem;
          this.#comparing(problem.type.endsWith("/index-behind") ? said.comparing : explained(problem));
          await later(1000 * (problem.retryAfterS || AGAIN_S));
        }
      }
    } finally {
      clearTimeout(soon);
    }
  }

  #comparing(text) {
    $("comparing-says").textContent = text;
    $("comparing").hidden = false;
  }

  #compared() { $("comparing").hidden = true; }

  get left() { return this.#cards.length + (this.#cursor === null ? 0 : this.#beyond); }

  #told() {
    const { left } = this;
    $("left").textContent = left ? counted(said, "left", left) : "";
    $("nothing").hidden = left > 0 || this.#cursor !== null;
    $("more").hidden = !this.#cursor;
    this.#changed(left);
  }

  /**
   * Do something with a card, which then goes; *undo* takes it back, and the card comes again.
   * Where *stays*, it goes only if that says so afterwards.
   */
  async act(card, work, { text, undo = null, stays = () => false } = {}) {
    const after = this.#cards[this.#cards.indexOf(card) + 1];
    try {
      await busy(card.node, work);
    } catch (problem) {
      this.#failed(card, problem);
      if (problem.status !== 404) return;
      this.#remove(card);  // Somebody else has seen to it.
      announce(explained(problem), "warn");
      this.#told();
      this.#focus(after ?? this.#cards.at(-1));
      return;
    }
    const gone = !stays();
    if (gone) this.#remove(card);
    this.#last = undo && { card, undo, before: after, gone };
    const sentence = typeof text === "function" ? text() : text;
    if (undo) offer(sentence, said.undo, () => this.undo());
    else announce(sentence);
    if (gone && this.#cards.length < FEW) await this.#load();
    this.#told();
    this.#focus(gone ? this.#cards.includes(after) ? after : this.#cards.at(-1) : card);
  }

  async undo() {
    const last = this.#last;
    if (!last) return;
    this.#last = null;
    document.querySelectorAll("#announcements > .notice.good").forEach((note) => note.remove());
    try {
      await last.undo();
    } catch (problem) {
      announce(explained(problem), "error");
      return;
    }
    if (last.gone) {
      const place = this.#cards.includes(last.before) ? this.#cards.indexOf(last.before) : this.#cards.length;
      this.#cards.splice(place, 0, last.card);
      this.#place.insertBefore(last.card.node, this.#cards[place + 1]?.node ?? null);
    }
    announce(said.undone);
    this.#told();
    this.#focus(last.card);
  }

  /** Not now: it goes to the end. */
  later(card) {
    const place = this.#cards.indexOf(card);
    this.#cards.splice(place, 1);
    this.#cards.push(card);
    this.#place.append(card.node);
    this.#focus(this.#cards[place]);
  }

  #remove(card) {
    this.#cards = this.#cards.filter((each) => each !== card);
    card.node.remove();
  }

  #failed(card, problem) {
    let note = card.node.querySelector(":scope > .notice.error");
    if (!note) card.node.append(note = element("p", { class: "notice error", role: "alert" }));
    complain(card.node, problem);
  }

  #focus(card) {
    if (card) card.node.focus({ preventScroll: true });
    else (document.querySelector("#next:not([hidden]) a") ?? document.querySelector("#review h1")).focus();
    card?.node.scrollIntoView({ block: "nearest" });
  }

  get #current() { return this.#cards.find((card) => card.node.contains(document.activeElement)) ?? this.#cards[0]; }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !$("keys-on").checked || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, textarea, select, details.menu")) return;
    const card = this.#current;
    const key = event.key.toLowerCase();
    if (key === "z") { this.undo(); return; }
    if (!card) return;
    if (key === "j" || key === "k") {
      const inside = card.node.contains(document.activeElement);
      const place = this.#cards.indexOf(card) + (inside ? (key === "j" ? 1 : -1) : 0);
      if (this.#cards[place]) this.#focus(this.#cards[place]);
      return;
    }
    const action = card.keys()[key];
    if (action) {
      event.preventDefault();
      action.run();
    }
  }

  /** What can be done by keys, under the queue's title. */
  #keysShown() {
    const card = this.#cards[0];
    if (!card || $("keys-list").childElementCount) return;
    const own = Object.entries(this.#kind.keys ?? {}).map(([key, label]) => [[key], label]);
    const rows = [...own, [["j", "k"], said.key_next], [["z"], said.key_undo]];
    $("keys-list").replaceChildren(
      ...rows.map(([keys, label]) => element("div", {}, element("dt", {}, ...keys.map((key) => element("kbd", {}, key.toUpperCase()))), element("dd", {}, label))),
    );
  }
}

/** A button of a card, with its key. */
export const button = (label, key, run, kind = "") =>
  element("button", { class: `button ${kind}`, type: "button", onclick: run, "aria-keyshortcuts": key?.toUpperCase() }, label, key && element("kbd", { "aria-hidden": "true" }, key.toUpperCase()));

export const saying = (sentence, values) => fill(sentence, values);
