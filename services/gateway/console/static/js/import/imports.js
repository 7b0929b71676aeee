// The page Import: what was dropped is shown, then sent; what becomes of it is import_job.js's.

import { ask, counted, element, fill, number, words } from "../colega.js";
import { chosen, dropped, MOST_FILES, TooManyFiles } from "./picking.js";
import { isArchive, label, sorted } from "./planning.js";
import { sendArchive, Sending, sentName } from "./sending.js";
import { JobView } from "./import_job.js";
import { explained, rejection } from "../reasons.js";

const said = words("words-import");
const page = words("import");
const at = (id) => document.getElementById(id);
const PEOPLE_SHOWN = 60;
const SKIPPED_SHOWN = 200;
const MB = 2 ** 20;

let plan = null;
let sending = null;
const view = new JobView(page, said);
if (page.job) view.show(page.job);

// Choosing

const choose = at("choose");
for (const button of choose?.querySelectorAll("[data-choose]") ?? []) button.addEventListener("click", () => at(button.dataset.choose).click());
for (const input of choose?.querySelectorAll("input[type=file]") ?? []) {
  input.addEventListener("change", () => { const found = chosen(input); input.value = ""; if (found.length) consider(found); });
}
if (choose) {
  const isOpen = () => !choose.hidden;
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();  // Without it the browser would leave the page and show the file.
      event.dataTransfer.dropEffect = isOpen() ? "copy" : "none";
      choose.classList.toggle("over", isOpen());
    });
  }
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) choose.classList.remove("over"); });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    choose.classList.remove("over");
    if (!isOpen() || !event.dataTransfer.types.includes("Files")) return;
    try {
      consider(await dropped(event.dataTransfer, (files) => tell(fill(said.reading, { files: number(files) }))));
    } catch (error) {
      if (!(error instanceof TooManyFiles)) throw error;
      tell(fill(said.too_many, { most: number(MOST_FILES) }), true);
    }
  });
}

function tell(sentence, isBad = false) {
  at("reading").textContent = sentence;
  at("reading").classList.toggle("bad", isBad);
}

/** Show what would be imported of what was chosen. */
async function consider(found) {
  tell(fill(said.reading, { files: number(found.length) }));
  const archives = found.filter(({ path }) => isArchive(path) && !path.includes("/"));
  if (archives.length && !page.job) {
    if (found.length > 1) { tell(said.one_archive, true); return; }
    if (archives[0].file.size > page.max_archive_mb * MB) { tell(fill(said.archive_too_large, { most: number(page.max_archive_mb) }), true); return; }
    plan = { archive: archives[0].file };
  } else {
    plan = await sorted(found, page.max_upload_mb * MB);
    if (!plan.photos.length) { tell(said.nothing, true); return; }
    if (page.job && !(await withoutArrived(plan))) return;
  }
  tell("");
  const layout = at("layout");
  for (const option of layout.options) option.hidden = option.disabled = plan.archive ? ["one", "nobody"].includes(option.value) : option.value === "auto" || (option.value === "manifest" && !plan.manifest);
  layout.value = plan.archive ? "auto" : plan.layout;
  if (page.job) at("faces").value = page.job.faces;
  at("faces").disabled = Boolean(page.job);
  choose.hidden = true;
  at("recent")?.setAttribute("hidden", "");
  if (page.job) at("job").hidden = true;
  at("plan").hidden = false;
  draw();
  at("plan-title").focus();
}

/** Leave out what the import has by name. False: there is nothing else. */
async function withoutArrived(made) {
  const there = new Set();
  for (let cursor = null; ;) {
    const some = await ask("GET", `jobs/${page.job.id}/items`, { query: { limit: 500, cursor } });
    for (const item of some.items) there.add(item.name);
    cursor = some.next_cursor;
    if (!cursor) break;
  }
  made.arrived = made.photos.filter(({ path }) => there.has(sentName(path))).length;
  made.photos = made.photos.filter(({ path }) => !there.has(sentName(path)));
  if (!made.photos.length) tell(said.not_arrived, false);
  return made.photos.length > 0;
}

// The plan

at("layout")?.addEventListener("change", draw);
at("person")?.addEventListener("input", draw);
at("discard")?.addEventListener("click", () => {
  plan = null;
  at("plan").hidden = true;
  choose.hidden = false;
  at("recent")?.removeAttribute("hidden");
  if (page.job) at("job").hidden = false;
  choose.querySelector("button").focus();
});

function labelled() {
  const layout = at("layout").value;
  const told = { manifest: plan.manifest, name: at("person").value };
  const photos = [];
  const skipped = [...plan.skipped];
  for (const photo of plan.photos) {
    const whose = label(photo, layout, told);
    if (whose.refused) skipped.push({ path: photo.path, reason: whose.refused, why: whose.why });
    else photos.push({ ...photo, label: whose });
  }
  return { photos, skipped };
}

function draw() {
  const isOne = at("layout").value === "one" && !plan.archive;
  at("one-name").hidden = !isOne;
  at("person").disabled = !isOne;
  for (const shown of at("plan-people").querySelectorAll("img")) URL.revokeObjectURL(shown.src);
  if (plan.archive) {
    at("plan-sum").textContent = fill(said.archive_sum, { name: plan.archive.name, size: number(plan.archive.size / MB, { maximumFractionDigits: 1 }) });
    at("plan-people").replaceChildren();
    at("plan-skipped").hidden = true;
    at("start").disabled = false;
    return;
  }
  const { photos, skipped } = labelled();
  const people = new Map();
  for (const photo of photos) {
    const key = photo.label.external_id ?? photo.label.person ?? "";
    if (!people.has(key)) people.set(key, []);
    people.get(key).push(photo);
  }
  const counts = { photos: counted(said, "photos", photos.length), people: counted(said, "people", people.size) };
  const sentence = [fill(at("layout").value === "nobody" ? said.plan_nobody : said.plan, counts)];
  if (plan.arrived) sentence.push(counted(said, "arrived", plan.arrived));
  const isNameless = isOne && !at("person").value.trim();
  at("plan-sum").textContent = isNameless ? counted(said, "photos", plan.photos.length) + "." : sentence.join(" ");
  at("plan-people").replaceChildren(...(isNameless || at("layout").value === "nobody" ? [] : [peopleList(people)]));
  const hidden = at("plan-skipped");
  hidden.hidden = !skipped.length || isNameless;
  hidden.querySelector("summary").textContent = counted(said, "left_out", skipped.length);
  hidden.querySelector("tbody").replaceChildren(...skipped.slice(0, SKIPPED_SHOWN).map(({ path, reason, why }) =>
    element("tr", {}, element("td", {}, path), element("td", {}, why ? said[why] : rejection(reason).title))));
  if (skipped.length > SKIPPED_SHOWN) {
    hidden.querySelector("tbody").append(element("tr", {}, element("td", { colspan: "2" }, fill(said.and_more, { count: number(skipped.length - SKIPPED_SHOWN) }))));
  }
  at("start").disabled = !photos.length && !isNameless;
}

function peopleList(people) {
  const rows = [...people.values()].slice(0, PEOPLE_SHOWN).map((photos) => {
    const picture = element("img", { class: "face small", src: URL.createObjectURL(photos[0].file), alt: "", width: "48", height: "48", loading: "lazy" });
    picture.addEventListener("error", () => { picture.replaceWith(element("span", { class: "face small" })); });
    return element("li", {}, picture, element("span", {}, element("strong", {}, photos[0].label.person), element("span", { class: "quiet" }, counted(said, "photos", photos.length))));
  });
  if (people.size > PEOPLE_SHOWN) rows.push(element("li", { class: "quiet" }, fill(said.and_more, { count: number(people.size - PEOPLE_SHOWN) })));
  return element("ul", { class: "people" }, rows);
}

// Sending

at("plan-form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = at("start");
  button.disabled = true;
  try {
    if (plan.archive) await startArchive();
    else await start();
  } catch (problem) {
    if (problem.name === "AbortError") return;
    at("plan").hidden = false;
    at("plan-sum").textContent = explained(problem);
    button.disabled = false;
  }
});

async function start() {
  const { photos } = labelled();
  const layout = at("layout").value;
  let job = page.job;
  if (!job) {
    const source = photos[0].path.includes("/") ? photos[0].path.split("/")[0] : photos.length === 1 ? photos[0].path : counted(said, "photos", photos.length);
    const wanted = { source, faces: at("faces").value, expected: photos.length, layout: layout === "directory" || layout === "filename" ? layout : "auto" };
    job = { id: (await ask("POST", "imports", { json: wanted })).job, source, total: photos.length, faces: wanted.faces };
    history.pushState({}, "", `/import/${job.id}${location.search}`);
  }
  at("plan").hidden = true;
  plan = null;
  view.show({ state: "open", received: 0, done: 0, duplicate: 0, cancelled: 0, rejected: 0, reasons: {}, people: 0, archive: false, ...job }, { isSending: true });
  let count = 0;
  const total = photos.length;
  const progress = () => {
    at("sending-sum").textContent = fill(said.sent, { done: number(count), total: number(total) });
    at("sending-bar").value = count / total;
  };
  sending = new Sending(job.id, photos, {
    most: page.max_photos,
    onsent: (some) => { count += some; progress(); },
    onlost: (photo, reason) => view.lost(photo.path, reason),
    ontrouble,
  });
  at("sending").hidden = false;
  progress();
  at("job-title").focus();
  await send(job.id);
}

function ontrouble(kind) {
  at("sending-trouble").hidden = !kind;
  if (kind) at("sending-trouble").textContent = said[kind];
}

/** Send what is not sent yet, then say that all was. */
async function send(job) {
  at("stopped").hidden = true;
  const mine = sending;
  try {
    await mine.run();
    if (mine.isStopped) return;
    await patiently(() => ask("POST", `imports/${job}/close`));
    sending = null;
    at("sending").hidden = true;
    view.sent();
  } catch (problem) {
    if (mine.isStopped) return;
    if (problem.status === 409) {  // It was cancelled or closed elsewhere.
      sending = null;
      at("sending").hidden = true;
      view.sent();
      return;
    }
    at("stopped-why").textContent = [401, 403].includes(problem.status) ? said.signed_out : fill(said.stopped, { problem: explained(problem) });
    at("stopped").hidden = false;
    at("go-on").focus();
  }
}

async function patiently(attempt) {
  for (let pause = 1; ; pause = Math.min(2 * pause, 30)) {
    try {
      return await attempt();
    } catch (problem) {
      if (![0, 429, 500, 502, 503, 504].includes(problem.status)) throw problem;
      ontrouble(problem.status ? "busy" : "away");
      await new Promise((good) => { setTimeout(good, pause * 1000); });
      ontrouble(null);
    }
  }
}

at("go-on")?.addEventListener("click", async () => {
  at("go-on").disabled = true;
  await freshToken();
  at("go-on").disabled = false;
  if (sending) await send(view.job.id);
});

/** Signed in again in another tab, this page's token is an old one: take the new one over. */
async function freshToken() {
  const answer = await fetch("/import", { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return;
  const token = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector('meta[name="csrf-token"]')?.content;
  if (token) document.querySelector('meta[name="csrf-token"]').content = token;
}

async function startArchive() {
  const file = plan.archive;
  const stopped = new AbortController();
  sending = { stop: () => stopped.abort(), isStopped: false };
  at("plan").hidden = true;
  view.show({ id: null, source: file.name, state: "open", total: 0, received: 0, done: 0, duplicate: 0, cancelled: 0, rejected: 0, reasons: {}, people: 0, archive: true }, { isSending: true });
  at("sending").hidden = false;
  at("job-title").focus();
  const megabytes = (bytes) => number(bytes / MB, { maximumFractionDigits: 1 });
  const onprogress = (done, total) => {
    at("sending-sum").textContent = fill(said.archive_sent, { done: megabytes(done), total: megabytes(total) });
    at("sending-bar").value = total ? done / total : 0;
  };
  onprogress(0, file.size);
  const fields = { source: file.name, layout: at("layout").value, faces: at("faces").value };
  try {
    const job = await sendArchive(file, fields, { onprogress, signal: stopped.signal });
    history.pushState({}, "", `/import/${job}${location.search}`);
    view.job.id = job;
    plan = null;
    view.sent();
  } catch (problem) {
    at("job").hidden = true;
    throw problem;
  } finally {
    sending = null;
    at("sending").hidden = true;
  }
}

view.oncancel = () => sending?.stop();
window.addEventListener("beforeunload", (event) => { if (sending && !sending.isStopped) { event.preventDefault(); event.returnValue = said.leave; } });
window.addEventListener("popstate", () => location.reload());
