// Which face of a rejected photo is meant: the photo is looked at again, harder, and one of its faces enrolled by hand.

import { address, ask, fill, number } from "../colega.js";
import { Boxes } from "../boxes.js";
import { inReadingOrder, fromBase64, show } from "../photo.js";
import { Picker } from "../picker.js";
import { explained } from "../reasons.js";

const PREVIEW_PX = 1024;
const at = (id) => document.getElementById(id);

export class FaceDialog {
  #item = null;
  #chosen = -1;
  #faces = [];

  /**
   * @param {object} said words
   * @param {(item: object, how: object) => Promise<void>} onchosen enrols: person or person_id, box, and when they agreed where they have
   * @param {{large: boolean}} more whether the key may see more of the photo than its thumbnail
   */
  constructor(said, onchosen, { large }) {
    this.said = said;
    this.large = large;
    this.onchosen = onchosen;
    this.dialog = at("face-dialog");
    this.photo = this.dialog.querySelector(".photo");
    this.image = this.photo.querySelector("img");
    this.boxes = new Boxes(this.photo.querySelector("ol"), { onselect: () => {}, onopen: (place) => this.#choose(place) });
    this.picker = new Picker(this.dialog.querySelector(".picker"), { onchange: () => this.#enable() });
    at("face-form").addEventListener("submit", (event) => { event.preventDefault(); this.#enrol(); });
  }

  async open(item) {
    this.#item = item;
    this.#faces = [];
    this.#chosen = -1;
    at("face-file").textContent = item.name;
    at("face-says").textContent = this.said.looking;
    at("face-problem").hidden = true;
    this.photo.hidden = true;
    this.boxes.draw([], 1, 1);
    this.picker.reset(item.person, item.person?.name ?? "");
    this.dialog.showModal();
    let answer;
    try {
      const preview = this.large ? PREVIEW_PX : null;
      answer = await ask("POST", "detect", { query: { mode: "thorough", preview }, json: { photo_id: item.photo_id } });
    } catch (problem) {
      at("face-says").textContent = explained(problem);
      return;
    }
    if (this.#item !== item) return;
    this.#faces = inReadingOrder(answer.faces);
    if (answer.preview) await show(this.image, fromBase64(answer.preview));
    else this.image.src = address(`photos/${item.photo_id}/thumbnail`);
    this.photo.hidden = false;
    at("face-says").textContent = this.#faces.length ? this.said.faces_found : this.said.no_faces;
    this.boxes.draw(
      this.#faces.map(({ box }, place) => ({ box, match: false, name: "", label: fill(this.said.face_label, { n: number(place + 1), count: number(this.#faces.length) }) })),
      answer.width, answer.height,
    );
    if (this.#faces.length === 1) this.#choose(0);
    this.boxes.buttons[0]?.focus();
  }

  #choose(place) {
    this.#chosen = place;
    this.boxes.mark(place);
    this.boxes.buttons.forEach((button, each) => button.setAttribute("aria-pressed", String(each === place)));
    this.#enable();
  }

  #enable() { at("face-enrol").disabled = this.#chosen < 0 || !this.picker.complete; }

  async #enrol() {
    const { box } = this.#faces[this.#chosen];
    const who = this.picker.person ? { person_id: this.picker.person.id } : { person: this.picker.name };
    const { agreed } = this.picker;
    if (agreed) who.consent_given_at = agreed;
    at("face-enrol").disabled = true;
    try {
      await this.onchosen(this.#item, { ...who, box });
      this.dialog.close();
    } catch (problem) {
      at("face-problem").textContent = explained(problem);
      at("face-problem").hidden = false;
      this.#enable();
    }
  }
}
