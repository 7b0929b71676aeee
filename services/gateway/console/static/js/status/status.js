// Status: shown anew every few seconds while somebody looks; when the service does not answer, that is said.

import { element, fill, language, words } from "../colega.js";
import { showAnew } from "../actions.js";

const EVERY_MS = 5000;
const said = words("words-status");
const away = document.getElementById("away");
let shownAt = new Date();

async function again() {
  if (document.visibilityState === "visible") {
    if (await showAnew("status").catch(() => false)) {
      shownAt = new Date();
      away.replaceChildren();
    } else if (!away.firstChild) {
      const time = new Intl.DateTimeFormat(language, { timeStyle: "medium" }).format(shownAt);
      away.append(element("p", { class: "notice error" }, fill(said.away, { time })));
    }
  }
  setTimeout(again, EVERY_MS);
}

setTimeout(again, EVERY_MS);
