// Review: one queue at a time, and how much waits in the others.

import { ask, number, words } from "../colega.js";
import { doubts, poor } from "./doubts.js";
import { found } from "./found.js";
import { groups } from "./groups.js";
import { pairs } from "./pairs.js";
import { Queue } from "./queue.js";
import { single } from "./single.js";

const page = document.getElementById("review");
const said = words("words-review");
const show = page.dataset.show;
const QUEUES = { groups, single, pairs, doubts, poor, found };
const COUNTED = { groups: "clusters", pairs: "people/alike", doubts: "review/doubtful", poor: "review/poor" };

const badge = (name) => page.querySelector(`[data-queue="${name}"] .badge`);

/** How much waits in a queue, in its badge. */
function tell(name, count) {
  const place = badge(name);
  if (!place) return;
  place.textContent = number(count);
  place.dataset.count = count;
  place.hidden = false;
}

/** Where there is something left, for whoever is through. */
function elsewhere() {
  const link = document.querySelector("#next a");
  const there = [...page.querySelectorAll("[data-queue]")].find((each) => each.dataset.queue !== show && Number(each.querySelector(".badge").dataset.count) > 0);
  document.getElementById("next").hidden = !there;
  if (!there) return;
  const name = there.dataset.queue;
  link.href = there.href;
  link.textContent = said.elsewhere.replace("{queue}", said.titles[name]).replace("{count}", there.querySelector(".badge").textContent);
}

for (const each of page.querySelectorAll("[data-queue] .badge:not([hidden])")) each.dataset.count = each.textContent.replace(/\D/g, "");

page.querySelector(".queues [aria-current]").scrollIntoView({ block: "nearest", inline: "center" });

const queue = new Queue(QUEUES[show](page.dataset), {
  changed: (left) => { tell(show, left); elsewhere(); },
});
await queue.begin();

// One after the other: each may keep the service busy for some seconds.
for (const [name, path] of Object.entries(COUNTED)) {
  if (name === show) continue;
  try {
    tell(name, (await ask("GET", path, { query: { limit: 1 } })).total);
    elsewhere();
  } catch (problem) {
    if (problem.status !== 503 && problem.status !== 429 && problem.status !== 422) break;
  }
}
