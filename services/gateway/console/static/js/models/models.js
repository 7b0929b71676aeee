// Models and rebuilds: what is under way is followed by server-sent events, and the page shows what comes of it.

import { ask, address, fill, number, percent, words } from "../colega.js";
import { showAnew } from "../actions.js";

const said = words("words-models");
const ASK_AGAIN_MS = 3000;
const streams = new Map();

/** Show what has come of something; a service that starts anew just now is asked again. */
async function settle(ids) {
  for (let times = 0; times < 20; times += 1) {
    if (await showAnew(...ids.split(" ")).catch(() => false)) return;
    await new Promise((wait) => { setTimeout(wait, ASK_AGAIN_MS); });
  }
}

/** Follow something by its events. While they are cut off, or no more streams are given out, it is asked again and again. */
function follow(path, shown, told) {
  const stream = new EventSource(address(`${path}/events`));
  let asking = 0;
  const rest = () => { clearInterval(asking); asking = 0; };
  const stop = () => { stream.close(); rest(); streams.delete(shown); };
  const known = (kind, now) => { told(kind, now); if (kind === "end") stop(); };
  for (const kind of ["progress", "state", "end"]) {
    stream.addEventListener(kind, (event) => { rest(); known(kind, JSON.parse(event.data)); });
  }
  stream.addEventListener("error", () => {
    asking ||= setInterval(async () => {
      if (!shown.isConnected) { stop(); return; }
      const now = await ask("GET", path).catch(() => null);
      if (now && asking) known(now.settled || ["done", "failed", "cancelled"].includes(now.state) ? "end" : "progress", now);
    }, ASK_AGAIN_MS);
  });
  streams.set(shown, stop);
}

/** How far something is, as a bar and a line of text. */
function draw(shown, done, total, more) {
  const bar = shown.querySelector("progress");
  if (total) { bar.max = total; bar.value = done; } else bar.removeAttribute("value");
  const line = total ? fill(said.of, { done: number(done), total: number(total), share: percent(done / total) }) : "";
  shown.querySelector("[data-line]").textContent = [line, ...more].filter(Boolean).join(" · ");
}

function followJob(shown) {
  follow(`jobs/${shown.dataset.job}`, shown, (kind, job) => {
    if (kind === "end") { settle(shown.dataset.then); return; }
    const { stage, done, total } = job.progress ?? {};
    draw(shown, done, total, [said.stages[stage]]);
  });
}

function followRebuild(shown) {
  let state = shown.dataset.state;
  follow(`rebuilds/${shown.dataset.rebuild}`, shown, (kind, rebuild) => {
    const { done, total, rate, eta_s: left } = rebuild.progress;
    if (kind === "end" || rebuild.state !== state) {
      state = rebuild.state;
      settle(shown.dataset.then);
      return;
    }
    if (shown.querySelector("progress")) draw(shown, done, total, [rate && fill(said.rate, { rate: number(rate, { maximumFractionDigits: 0 }) }), left && fill(said.left, { left: duration(left) })]);
  });
}

const duration = (seconds) => (seconds < 90 ? number(seconds, { style: "unit", unit: "second", maximumFractionDigits: 0 })
  : number(seconds / 60, { style: "unit", unit: "minute", maximumFractionDigits: 0 }));

function followAll() {
  for (const [shown, stop] of streams) if (!shown.isConnected) stop();
  for (const shown of document.querySelectorAll("[data-job]")) if (!streams.has(shown)) followJob(shown);
  for (const shown of document.querySelectorAll("[data-rebuild][data-moves]")) if (!streams.has(shown)) followRebuild(shown);
  clearTimeout(followAll.again);
  const waits = document.querySelector("[data-again]");
  if (waits) followAll.again = setTimeout(() => settle(waits.id).then(followAll), ASK_AGAIN_MS);
}

document.addEventListener("shown", followAll);
addEventListener("pagehide", () => { for (const stop of streams.values()) stop(); });
followAll();
