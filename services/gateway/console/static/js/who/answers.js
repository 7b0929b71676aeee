// The answer for each face of a photo: who it is, how alike, how rarely strangers are, and what may be done about it.

import { address, element, fill, number, percent } from "../colega.js";
import { drawFace } from "../photo.js";

const SVG = "http://www.w3.org/2000/svg";
const POOR = 0.25;
const two = (value) => number(value, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export class Answers {
  /**
   * @param {HTMLOListElement} list
   * @param {object} said the page's words
   * @param {{read: boolean, enrol: boolean}} may
   * @param {{least: number, onselect: Function, onopen: Function, onenrol: Function}} more the least false-match rate that the
   * calibration tells, 0 without one; told of the face gone to or clicked, and of whom to enrol it as
   */
  constructor(list, said, may, { least, onselect, onopen, onenrol }) {
    Object.assign(this, { list, said, may, least, onselect, onopen, onenrol, current: 0 });
  }

  /** Draw them all; faces are cut from *image*. */
  draw({ faces, width, height, drawn, answer }, image) {
    this.list.replaceChildren(
      ...faces.map((face, place) => this.#one(face, place, answer.threshold, faces.length, (canvas) => drawn && drawFace(canvas, image, face.box, width, height))),
    );
  }

  /** Make one the current one. */
  mark(place) {
    this.current = place;
    [...this.list.children].forEach((item, each) => item.toggleAttribute("data-current", each === place));
  }

  /** Bring one into view. */
  open(place) {
    this.list.children[place]?.scrollIntoView({ block: "nearest" });
    this.focus(place);
  }

  focus(place) {
    this.list.children[place]?.querySelector("h3").focus({ preventScroll: true });
    this.list.children[place]?.scrollIntoView({ block: "nearest" });
  }

  #one(face, place, threshold, count, draw) {
    const { said } = this;
    const match = face.decision === "match";
    const [best] = face.matches;
    const canvas = element("canvas", { class: "face", width: 192, height: 192, role: "img", "aria-label": fill(said.face_of, { number: place + 1 }), onclick: () => this.onopen(place) });
    draw(canvas);
    const name = match ? this.#named(best.person) : said.unknown;
    const tells = match ? this.#rarity(best.fmr) : best ? said.unknown_more : said.nobody;
    return element(
      "li",
      { class: "card answer", onpointermove: () => this.current !== place && this.onselect(place), onfocusin: () => this.onselect(place) },
      element(
        "header",
        {},
        canvas,
        match && this.#picture(best, 72),
        element(
          "div",
          {},
          element("h3", { tabindex: "-1" }, element("span", { class: "quiet" }, String(place + 1)), name),
          match && this.#measure(best, threshold),
          tells && element("p", { class: "hint" }, tells),
          face.quality !== null && face.quality < POOR && element("p", { class: "hint" }, said.poor),
        ),
      ),
      this.#more(face, place, threshold, count),
      this.may.enrol && !match && this.#newcomer(face, count),
    );
  }

  /** Who else is alike, and what may be done where somebody is named; folded away where there are several faces. */
  #more(face, place, threshold, count) {
    const { said } = this;
    const match = face.decision === "match";
    const others = match ? face.matches.slice(1) : face.matches;
    const does = this.may.enrol && match;
    if (!others.length && !does) return null;
    const which = element("span", { class: "unseen" }, ` (${fill(said.face, { number: place + 1 })})`);
    return element(
      "details",
      { open: count === 1 },
      element("summary", {}, match ? (does ? said.else : said.others) : said.closest, which),
      others.length > 0 && element("ol", { class: "candidates" }, ...others.map((other) => this.#candidate(face, other, threshold))),
      does && element("div", { class: "row does" }, this.#button(face, said.other, null), this.#button(face, fill(said.add, { name: face.matches[0].person.name }), face.matches[0].person)),
    );
  }

  /** What may be done about somebody unknown. */
  #newcomer(face, count) {
    const { said } = this;
    return element("div", { class: "row does" }, this.#button(face, said.enrol_new, null, count === 1 ? "primary" : ""), this.may.read && face.matches.length > 0 && this.#button(face, said.is_known, null));
  }

  #button(face, text, person, kind = "") {
    return element("button", { type: "button", class: `button small ${kind}`, onclick: () => this.onenrol(face, person) }, text);
  }

  #candidate(face, match, threshold) {
    const { person, fmr } = match;
    return element(
      "li",
      { class: "candidate" },
      this.#picture(match, 56),
      element(
        "div",
        {},
        this.#named(person),
        this.#measure(match, threshold),
        fmr !== null && element("p", { class: "hint" }, this.#rarity(fmr)),
        this.may.enrol && this.#button(face, fill(this.said.is_them, { name: person.name }), person),
      ),
    );
  }

  /** A person's own enrolled face; a blank where the key may not see it. */
  #picture({ person, face_id }, size) {
    if (!this.may.read) return element("span", { class: "face" });
    return element("img", { class: "face", src: address(`faces/${face_id}/chip`), alt: fill(this.said.enrolled_face, { name: person.name }), width: size, height: size, loading: "lazy" });
  }

  #named({ id, name, external_id }) {
    const shown = this.may.read ? element("a", { class: "name", href: `/people/${id}${location.search}` }, name) : element("span", { class: "name" }, name);
    return element("span", {}, shown, external_id && element("span", { class: "quiet" }, ` ${external_id}`));
  }

  #measure({ similarity, accepted }, threshold) {
    const label = fill(this.said.bar, { similarity: two(similarity), threshold: two(threshold) });
    return element("div", { class: "measure" }, bar(similarity, threshold, accepted, label), element("span", { class: "number", "aria-hidden": "true" }, two(similarity)));
  }

  /** A false-match rate in words; nothing where it is not known. */
  #rarity(fmr) {
    if (fmr === null) return "";
    if (fmr >= 0.1) return fill(this.said.rarity_share, { percent: percent(fmr) });
    const count = number(Number((1 / fmr).toPrecision(2)), { maximumFractionDigits: 0 });
    return fill(fmr <= this.least * 1.001 ? this.said.rarity_at_most : this.said.rarity, { count });
  }
}

/** A similarity as a bar from 0 to 1, with the threshold marked. */
function bar(similarity, threshold, accepted, label) {
  const across = (value) => `${100 * Math.min(1, Math.max(0, value))}%`;
  const part = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const drawn = part("svg", { class: accepted ? "bar accepted" : "bar", role: "img", "aria-label": label });
  drawn.append(
    part("rect", { class: "ground", width: "100%", height: "100%", rx: "4" }),
    part("rect", { class: "value", width: across(similarity), height: "100%", rx: "4" }),
    part("line", { class: "threshold", x1: across(threshold), x2: across(threshold), y1: "-3", y2: "13" }),
  );
  return drawn;
}
