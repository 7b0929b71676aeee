// Audit: walks all entries, some thousands a request, and says whether they are as they were written.

import { ask, announce, counted, element, fill, words } from "../colega.js";

const said = words("words-audit");
const button = document.getElementById("verify");
const shown = document.getElementById("verified");

function say(kind, ...sentences) {
  shown.replaceChildren(element("div", { class: `notice ${kind}` }, ...sentences.map((text) => element("p", {}, text))));
}

async function verify() {
  const found = { entries: 0, chains: 0, running: 0, problems: [] };
  let cursor = null;
  do {
    const part = await ask("POST", "audit/verify", { json: { cursor } });
    found.entries += part.entries;
    found.chains += part.chains;
    found.running += part.not_ended.length;
    found.problems.push(...part.problems);
    cursor = part.next_cursor;
    if (cursor) say("", fill(said.looking, { entries: counted(said, "entries", found.entries) }));
  } while (cursor);
  if (found.problems.length) {
    const lines = found.problems.slice(0, 20).map((one) => fill(said.problem, one));
    say("error", said.damaged, ...lines);
    return;
  }
  const values = { entries: counted(said, "entries", found.entries), chains: counted(said, "chains", found.chains) };
  const running = found.running ? [counted(said, "not_ended", found.running)] : [];
  say("good", fill(said.whole, values), ...running, said.outside);
}

button?.addEventListener("click", async () => {
  button.disabled = true;
  try {
    await verify();
  } catch (problem) {
    announce(problem.message, "error");
  } finally {
    button.disabled = false;
  }
});
