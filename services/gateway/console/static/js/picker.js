// Who somebody is: a name field that offers the people enrolled as one types, after the combobox pattern of WAI-ARIA APG.
// The page includes _picker.html, which has the field and the words.

import { address, ask, counted, element, fill, language, words } from "./colega.js";

const SHOWN = 6;
const PAUSE_MS = 120;

let pressed = false;
addEventListener("pointerdown", () => { pressed = true; }, { capture: true });
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => { pressed = false; }, { capture: true });

const folded = (name) => name.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase(language).trim();

export class Picker {
  #said = words("words-picker");
  #found = [];
  #active = -1;
  #asked = null;
  #timer = 0;

  /**
   * @param {HTMLElement} root of _picker.html
   * @param {{onchange?: () => void}} more told whenever it names somebody else
   */
  constructor(root, { onchange = () => {} } = {}) {
    this.input = root.querySelector("input");
    this.list = root.querySelector("[role=listbox]");
    this.says = root.querySelector(".hint");
    this.consent = root.querySelector("[type=checkbox]");
    this.onchange = onchange;
    this.person = null;
    this.input.addEventListener("input", () => { this.person = null; this.#changed(); this.#soon(); });
    if (!this.list) return;
    this.input.addEventListener("keydown", (event) => this.#key(event));
    root.addEventListener("focusout", (event) => {
      if (root.contains(event.relatedTarget)) return;
      // What is below moves up when the list goes: not under a finger that is pressing it.
      if (pressed) addEventListener("pointerup", () => setTimeout(() => this.#show(false)), { once: true });
      else this.#show(false);
    });
  }

  get name() { return this.input.value.trim(); }
  /** Now, where it is ticked that they have agreed; else null. */
  get agreed() { return this.consent?.checked ? new Date().toISOString() : null; }
  /** Whether it names somebody: a person of the list, or a name that nobody has. */
  get complete() { return Boolean(this.person) || (this.name !== "" && !this.#namesake()); }

  /** Begin anew, with a person chosen or with nothing. */
  reset(person = null, name = "") {
    this.#found = [];
    this.input.value = person?.name ?? name;
    this.person = person;
    if (this.consent) this.consent.checked = false;  // Said of one person, never of the next.
    this.#show(false);
    this.#changed();
  }

  #namesake() { return this.#found.find((one) => folded(one.name) === folded(this.name) && !one.external_id); }

  #changed() {
    const names = { name: this.person?.name ?? this.name };
    const sentence = this.person ? "known" : this.name === "" ? "type" : this.#namesake() ? "same_name" : "new";
    this.says.textContent = fill(this.#said[sentence], names);
    this.onchange();
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#asked?.abort();
    if (!this.list) return;
    if (this.name === "") { this.#found = []; this.#show(false); this.#changed(); return; }
    this.#timer = setTimeout(() => this.#look(), PAUSE_MS);
  }

  async #look() {
    const mine = (this.#asked = new AbortController());
    let answer;
    try {
      answer = await ask("GET", "people", { query: { query: this.name, limit: SHOWN }, signal: mine.signal });
    } catch {
      return;  // Typed on, or not to be had now: the name can be written all the same.
    }
    if (mine.signal.aborted) return;
    this.#found = answer.items;
    this.#active = -1;
    this.list.replaceChildren(...this.#found.map((person, place) => this.#option(person, place)));
    this.#show(this.#found.length > 0 && document.activeElement === this.input);
    this.#changed();
  }

  #option(person, place) {
    const face = person.face_id
      ? element("img", { class: "face small", src: address(`faces/${person.face_id}/chip`), alt: "", width: "48", height: "48" })
      : element("span", { class: "face small" });
    const more = [person.external_id, counted(this.#said, "photos", person.faces)].filter(Boolean).join(" · ");
    return element(
      "li",
      { id: `picker-option-${place}`, role: "option", "aria-selected": "false", onmousedown: (event) => { event.preventDefault(); this.choose(place); } },
      face,
      element("span", {}, element("span", { class: "name" }, person.name), element("span", { class: "quiet" }, more)),
    );
  }

  choose(place) {
    this.person = this.#found[place];
    this.input.value = this.person.name;
    this.#show(false);
    this.#changed();
  }

  #show(open) {
    if (!this.list) return;
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    if (!open) this.#mark(-1);
  }

  #mark(place) {
    this.#active = place;
    [...this.list.children].forEach((option, each) => option.setAttribute("aria-selected", String(each === place)));
    if (place < 0) this.input.removeAttribute("aria-activedescendant");
    else {
      this.input.setAttribute("aria-activedescendant", `picker-option-${place}`);
      this.list.children[place].scrollIntoView({ block: "nearest" });
    }
  }

  #key(event) {
    const open = !this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!open && this.#found.length) this.#show(true);
      if (this.list.hidden) return;
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#mark((this.#active + step + this.#found.length + (this.#active < 0 && step < 0 ? 1 : 0)) % this.#found.length);
    } else if (event.key === "Enter" && open && this.#active >= 0) {
      event.preventDefault();
      this.choose(this.#active);
    } else if (event.key === "Escape" && open) {
      event.preventDefault();  // Closes the list, not the dialog around it.
      event.stopPropagation();
      this.#show(false);
    }
  }
}
