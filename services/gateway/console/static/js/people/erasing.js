// Erasing a person: what goes is spelled out, and their name is written before it does.

import { ask, fill } from "../colega.js";
import { busy, complain, goAndTell, open } from "../dialogs.js";

const folded = (name) => name.normalize("NFC").replace(/\s+/g, " ").trim();

export function erasing(person, said) {
  const button = document.getElementById("erase-open");
  if (!button) return;
  const dialog = document.getElementById("erase");
  const [form, field, go] = [dialog.querySelector("form"), dialog.querySelector("#erase-name"), dialog.querySelector(".danger")];
  button.onclick = async () => {
    field.value = "";
    go.disabled = true;
    const says = dialog.querySelector("#erase-says");
    says.replaceChildren();
    await htmx.ajax("GET", `${location.pathname}/erasure${location.search}`, { target: "#erase-says", swap: "innerHTML" });
    if (says.children.length) open(dialog, field);  // Else it was told why not.
  };
  field.oninput = () => { go.disabled = folded(field.value) !== folded(person().name); };
  form.onsubmit = (event) => {
    event.preventDefault();
    if (go.disabled) return;
    busy(dialog, async () => {
      try {
        await ask("DELETE", `people/${person().id}`);
        goAndTell(`/people${location.search.startsWith("?collection=") ? location.search : ""}`, fill(said.erased, { name: person().name }));
      } catch (problem) {
        if (problem.status === 404) location.reload();
        else complain(dialog, problem);
      }
    });
  };
}
