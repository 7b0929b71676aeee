// The dialog that enrols one face of a photo: whom it shows, and what of the photo is kept.

import { fill } from "../colega.js";
import { enrol, forget, Rejected } from "../enrolling.js";
import { cutOut, drawFace } from "../photo.js";
import { Picker } from "../picker.js";
import { explained, rejection } from "../reasons.js";

const $ = (id) => document.getElementById(id);

export class Enrolment {
  #dialog = $("enrol");
  #problem = $("enrol-problem");
  #what = null;
  #made = null;
  /** Somebody whom a first try has made, and whose photo was refused: the next try is theirs. */

  /**
   * @param {object} said the page's words
   * @param {{read: boolean, manage: boolean}} may
   * @param {{image: HTMLImageElement, onenrolled: (result: object, face: object) => void}} more
   */
  constructor(said, may, { image, onenrolled }) {
    Object.assign(this, { said, may, image, onenrolled });
    this.picker = new Picker(this.#dialog.querySelector(".picker"), { onchange: () => this.#changed() });
    $("enrol-cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("cancel", (event) => { if (this.#dialog.getAttribute("aria-busy") === "true") event.preventDefault(); });
    this.#dialog.addEventListener("close", () => { forget(this.#made, this.may.manage); this.#made = null; });
    $("enrol-form").addEventListener("submit", (event) => { event.preventDefault(); this.#enrol(); });
  }

  /** Ask whom *face* of the photo shows; *person* is proposed, if one is given. */
  ask(photo, face, person) {
    this.#what = { photo, face };
    this.#made = null;
    this.#complain(null);
    const canvas = $("enrol-face");
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    if (photo.drawn) drawFace(canvas, this.image, face.box, photo.width, photo.height);
    const alone = photo.faces.length === 1;
    $("enrol-kept").textContent = alone ? this.said.keeps_photo : this.said.keeps_part;
    this.picker.reset(person);
    this.#dialog.showModal();
    if (person) $("enrol-do").focus();
    else this.picker.input.focus();
    if (!alone && !photo.drawn) {
      this.#complain(this.said.cannot_cut);
      $("enrol-do").disabled = true;
    }
  }

  async #enrol() {
    if ($("enrol-do").disabled) return;
    const { photo, face } = this.#what;
    const chosen = this.picker.person ?? (this.#made?.name === this.picker.name ? this.#made : null);
    this.#complain(null);
    this.#working(true);
    try {
      const alone = photo.faces.length === 1;
      const picture = alone ? photo.file : await cutOut(this.image, photo.faces, face, photo.width, photo.height);
      const filename = alone ? photo.file.name || "photo.jpg" : "face.jpg";
      const added = Boolean(this.picker.person);
      const result = await enrol({ person: chosen, name: this.picker.name }, picture, { filename, mayRead: this.may.read });
      this.#working(false);
      if (chosen === this.#made) this.#made = null;  // Not to be forgotten as it closes.
      this.#dialog.close();
      this.onenrolled({ ...result, added }, face);
    } catch (error) {
      this.#working(false);
      if (error instanceof Rejected) {
        this.#made = error.person ?? this.#made;
        const why = rejection(error.reason);
        this.#complain(fill(this.said.rejected, why));
      } else this.#complain(explained(error));
      this.picker.input.focus();
    }
  }

  #working(on) {
    this.#dialog.setAttribute("aria-busy", String(on));
    for (const control of [this.picker.input, $("enrol-cancel")]) control.disabled = on;
    $("enrol-do").textContent = on ? this.said.enrolling : this.picker.person ? this.said.add_short : this.said.enrol;
    $("enrol-do").disabled = on;
  }

  #changed() {
    $("enrol-do").textContent = this.picker.person ? this.said.add_short : this.said.enrol;
    $("enrol-do").disabled = !this.picker.complete && this.#made?.name !== this.picker.name;
  }

  #complain(sentence) {
    this.#problem.hidden = sentence === null;
    this.#problem.textContent = sentence ?? "";
  }
}
