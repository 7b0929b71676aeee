// Boxes on a photo: a button for each face, which scale with the photo. One is current; Tab comes to it, arrow keys go on.

import { element } from "./colega.js";

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const CROWD = 7;
/** From so many faces on, names are shown for the current one only. */

export class Boxes {
  /**
   * @param {HTMLOListElement} list over the photo
   * @param {{onselect: (place: number) => void, onopen: (place: number) => void}} told which face was gone to, and which was clicked
   */
  constructor(list, { onselect, onopen }) {
    this.list = list;
    this.onselect = onselect;
    this.onopen = onopen;
    this.buttons = [];
    list.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {{box: object, label: string, name: string, match: boolean}[]} faces boxes in pixels of a photo *width* by *height* */
  draw(faces, width, height) {
    this.buttons = faces.map(({ box, label, name, match }, place) => {
      const button = element(
        "button",
        { type: "button", class: match ? "match" : null, "aria-label": label, tabindex: place === 0 ? "0" : "-1", onclick: () => this.onopen(place), onfocus: () => this.onselect(place), onpointermove: () => this.onselect(place) },
        element("span", { "aria-hidden": "true" }, String(place + 1), element("b", {}, name)),
      );
      const share = (part, whole) => `${(100 * part) / whole}%`;
      Object.assign(button.style, { left: share(box.x, width), top: share(box.y, height), width: share(box.w, width), height: share(box.h, height) });
      return button;
    });
    this.list.classList.toggle("many", faces.length >= CROWD);
    this.list.replaceChildren(...this.buttons.map((button) => element("li", {}, button)));
  }

  /** Make one the current one. */
  mark(place) {
    this.buttons.forEach((button, each) => {
      if (each === place) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      button.tabIndex = each === Math.max(place, 0) ? 0 : -1;
    });
  }

  #key(event) {
    const last = this.buttons.length - 1;
    const at = this.buttons.indexOf(document.activeElement);
    const to = event.key === "Home" ? 0 : event.key === "End" ? last : event.key in STEPS ? Math.min(last, Math.max(0, at + STEPS[event.key])) : null;
    if (to === null || at < 0) return;
    event.preventDefault();
    this.buttons[to].focus({ preventScroll: true });
  }
}
