// Adding photos to a person: sent a few at a time, followed until each is findable or rejected.

import { announce, ask, counted, element, fill, number } from "../colega.js";
import { ended as endOf } from "../jobs.js";
import { explained, rejection } from "../reasons.js";

const AT_ONCE = 8; // Requests of no more photos than this go before imports.
const LOOK_EVERY_MS = 300;

export function adding(id, said, shown) {
  const form = document.getElementById("add");
  if (!form) return;
  const input = form.querySelector("input");
  input.onchange = () => send(id, [...input.files], said, shown);
  form.ondragover = (event) => { event.preventDefault(); form.classList.add("over"); };
  form.ondragleave = () => form.classList.remove("over");
  form.ondrop = (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (!input.disabled) send(id, [...event.dataTransfer.files], said, shown);
  };
  form.onsubmit = (event) => event.preventDefault();
}

async function send(id, files, said, shown) {
  if (!files.length) return;
  const section = document.getElementById("adding");
  const [input, progress, results] = ["#add-files", "#add-progress", "#add-results"].map((what) => section.querySelector(what));
  const bar = element("progress", { max: files.length * 2, value: 0, "aria-label": progress.previousElementSibling.querySelector("label").textContent });
  const text = element("p", { class: "quiet" });
  const step = (sentence, done, both) => {
    bar.value = both;
    text.textContent = fill(sentence, { done: number(done), total: number(files.length) });
  };
  progress.replaceChildren(bar, text);
  results.replaceChildren();
  input.disabled = true;
  const ended = { done: 0, duplicate: 0, rejected: 0, cancelled: 0 };
  const failed = [];
  let sent = 0, looked = 0;
  const tell = (name, status, more = "") => {
    ended[status] += 1;
    if (status === "done") return;
    results.append(element("li", {}, element("span", { class: `badge ${status === "rejected" ? "bad" : ""}` }, said.status[status]), element("span", {}, name), element("span", { class: "quiet" }, more)));
  };
  for (let start = 0; start < files.length; start += AT_ONCE) {
    const some = files.slice(start, start + AT_ONCE);
    const body = new FormData();
    some.forEach((file) => body.append("photo", file));
    try {
      const answer = await ask("POST", `people/${id}/photos`, { form: body });
      sent += some.length;
      step(said.sending, sent, sent + looked);
      const refused = answer.items.filter((item) => item.status === "rejected");
      refused.forEach((item) => tell(item.name, "rejected", `${rejection(item.reason).title}. ${rejection(item.reason).advice}`));
      looked += refused.length;
      const kept = some.length - refused.length;
      const onlook = (job) => {
        const ready = job.done + job.duplicate + job.rejected + job.cancelled;
        step(said.working, looked + ready, sent + looked + ready);
      };
      if (kept) await endOf(answer.job, { firstMs: LOOK_EVERY_MS, onlook });
      for (const item of kept ? (await ask("GET", `jobs/${answer.job}/items`, { query: { limit: 500 } })).items : []) {
        const why = item.status === "rejected" ? rejection(item.reason) : null;
        tell(item.name, item.status, why ? `${why.title}. ${why.advice}` : "");
      }
      looked += kept;
    } catch (problem) {
      if (problem.status === 404) { location.reload(); return; }
      sent += some.length;
      looked += some.length;
      failed.push(...some);
      some.forEach((file) => tell(file.name, "rejected", explained(problem)));
    }
    step(said.working, looked, sent + looked);
  }
  input.disabled = false;
  input.value = "";
  const kept = [...results.children];
  if (failed.length) {
    kept.push(element("li", {}, element("button", { class: "button small", type: "button", onclick: () => send(id, failed, said, shown) }, said.retry)));
  }
  await shown();
  document.getElementById("add-results").replaceChildren(...kept);
  for (const [status, word] of [["done", "added"], ["rejected", "rejected"]]) {
    const count = ended[status];
    if (count) announce(counted(said, word, count), status === "done" ? "good" : "error");
  }
}
