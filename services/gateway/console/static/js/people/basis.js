// Basis and notice of a collection, and confirming that many people are to be erased.

import { announce, ask, words } from "../colega.js";
import { busy, complain } from "../dialogs.js";
import { explained } from "../reasons.js";

const said = words("words-basis");
const form = document.getElementById("basis");

if (form) {
  const path = `collections/${encodeURIComponent(form.dataset.collection)}`;
  form.onsubmit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(["basis", "statement", "purpose", "text", "version", "days"].map((name) => [name, form.elements[name].value.trim()]));
    form.querySelector("[role=alert]").hidden = true;
    busy(form, async () => {
      if (given.basis && Boolean(given.text) !== Boolean(given.version)) {
        complain(form, { ours: said.version });
        return;
      }
      const notice = given.text ? { text: given.text, version: given.version } : null;
      const basis = given.basis
        ? { basis: given.basis, statement: given.statement || null, purpose: given.purpose || null, notice }
        : null;
      try {
        await ask("PATCH", path, { json: { basis, retention_days: given.days ? Number(given.days) : null } });
        announce(said.saved);
      } catch (problem) {
        complain(form, problem);
      }
    });
  };
  const go = document.getElementById("confirm-retention");
  if (go) {
    go.onclick = () => busy(go.parentElement, async () => {
      try {
        await ask("POST", `${path}/retention/confirm`, { json: { people: Number(go.dataset.people) } });
        go.closest(".notice").hidden = true;
        announce(said.confirmed);
      } catch (problem) {
        announce(explained(problem), "error");
      }
    });
  }
}
