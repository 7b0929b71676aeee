// Who is this? One photo at a time: asked over /v1/search, shown with its faces, and enrolled from. The newest photo wins.

import { Answers } from "./answers.js";
import { Boxes } from "../boxes.js";
import { Camera, explain, offer } from "../camera.js";
import { announce, ask, counted, element, fill, number, words } from "../colega.js";
import { Enrolment } from "./enrolment.js";
import { fromBase64, inReadingOrder, isShownAlike, show } from "../photo.js";
import { explained } from "../reasons.js";

const said = words("words-who");
const $ = (id) => document.getElementById(id);
const page = $("who");
const may = { read: page.dataset.mayRead === "yes", enrol: page.dataset.mayEnrol === "yes", manage: page.dataset.mayManage === "yes" };
const PREVIEW_PX = 2048;

/** What is shown: {file, width, height, faces, answer}; null before the first answer. */
let shown = null;
let underway = null;

const boxes = new Boxes($("boxes"), { onselect: select, onopen: (place) => { select(place); answers.open(place); } });
const answers = new Answers($("answers"), said, may, {
  least: Number(page.dataset.leastFmr),
  onselect: select,
  onopen: (place) => boxes.buttons[place]?.focus(),
  onenrol: (face, person) => enrolment.ask(shown, face, person),
});
const enrolment = may.enrol ? new Enrolment(said, may, { image: $("photo"), onenrolled: enrolled }) : null;

function select(place) {
  boxes.mark(place);
  answers.mark(place);
}

// --- asking ---------------------------------------------------------------------------------------------------------

/** What the reader has set under "How strict". */
function strictness() {
  const form = $("strict");
  const [by, rate] = form.by.value.split(":");
  return {
    k: Math.min(20, Math.max(1, form.k.valueAsNumber || 5)),
    mode: form.thorough.checked ? "thorough" : null,
    fmr: by === "fmr" ? rate : null,
    threshold: by === "threshold" ? form.threshold.value : null,
  };
}

/** Look at *file*. *after*: the answer is to reflect the log up to there; *keep*: which face stays the current one. */
async function look(file, { after = null, keep = 0 } = {}) {
  underway?.abort();
  const mine = (underway = new AbortController());
  const limit = Number(page.dataset.maxMb);
  complain(null);
  if (file.size > limit * 2 ** 20) {
    $("result").hidden = true;
    return complain(fill(said.too_large, { name: file.name, size: number(file.size / 2 ** 20, { maximumFractionDigits: 1 }), limit: number(limit) }));
  }
  const asked = strictness();
  busy(asked.mode ? said.looking_hard : said.looking);
  const began = performance.now();
  try {
    const alike = await isShownAlike(file);
    const form = new FormData();
    form.append("photo", file, file.name || "photo.jpg");
    const query = { ...asked, after, preview: alike ? null : PREVIEW_PX };
    const answer = await ask("POST", "search", { query, form, signal: mine.signal });
    const photo = await pictured(file, answer, alike, mine.signal);
    if (mine.signal.aborted) return;
    shown = { file, width: answer.width, height: answer.height, faces: inReadingOrder(answer.faces), answer, ...photo };
    render(keep);
    await new Promise(requestAnimationFrame);
    const seconds = (performance.now() - began) / 1000;
    page.dataset.tookMs = Math.round(1000 * seconds);
    const took = fill(said.took, { seconds: number(seconds, { maximumFractionDigits: 2 }) });
    busy(null, [element("span", { class: "unseen" }, `${summary()} `), took]);
  } catch (error) {
    if (error.name === "AbortError" || mine.signal.aborted) return;
    if (shown?.file !== file) $("result").hidden = true;  // What is there belongs to another photo.
    const passes = error.status === 0 || error.status === 503;
    const again = passes && element("button", { class: "button small", type: "button", onclick: () => look(file, { after, keep }) }, said.again);
    complain(explained(error), again || "");
  }
}

/** Show the photo upright as the service has seen it: the file itself where the browser does the same, else the service's. */
async function pictured(file, answer, alike, signal) {
  const image = $("photo");
  let note = null;
  let drawn = false;
  if (alike) {
    drawn = (await show(image, file)) && image.naturalWidth === answer.width && image.naturalHeight === answer.height;
    if (!drawn) {
      const form = new FormData();
      form.append("photo", file, file.name || "photo.jpg");
      answer = await ask("POST", "detect", { query: { preview: PREVIEW_PX }, form, signal });
    }
  }
  if (!drawn) {
    const known = alike || (await show(new Image(), file));
    drawn = Boolean(answer.preview) && (await show(image, fromBase64(answer.preview)));
    note = !drawn ? said.not_shown : known ? null : said.shown_otherwise;
  }
  return { note, drawn };
}

/** Say that it is working, or with null that it is done, and what came of it. */
function busy(text, done = []) {
  $("progress").replaceChildren(...(text === null ? done : [text]));
  page.setAttribute("aria-busy", String(text !== null));
}

function complain(sentence, ...more) {
  const notice = $("problem");
  notice.hidden = sentence === null;
  notice.replaceChildren(...(sentence === null ? [] : [element("span", {}, sentence), ...more]));
  if (sentence !== null) busy(null);
}

// --- showing --------------------------------------------------------------------------------------------------------

function summary() {
  const named = shown.faces.filter((face) => face.decision === "match").length;
  const who = named ? counted(said, "named", named) : said.none_named;
  return `${counted(said, "faces", shown.faces.length)}, ${who}.`;
}

function render(keep) {
  const { faces, answer, width, height } = shown;
  $("drop").classList.add("small");
  $("result").hidden = false;
  const stage = $("stage");
  stage.classList.toggle("blank", !shown.drawn);
  Object.assign(stage.style, { aspectRatio: `${width} / ${height}`, maxWidth: `min(100%, ${Math.max(width, 420)}px, calc(72vh * ${width / height}))` });
  $("photo").alt = said.photo;
  $("caption").textContent = shown.note ?? "";
  $("summary").textContent = summary();
  const by = { request: said.by_request, calibration: said.by_calibration, model: said.by_model }[answer.decided_by];
  const threshold = number(answer.threshold, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const rare = faces.some((face) => face.matches.length && face.matches[0].fmr === null) ? said.no_rarity : "";
  $("decided").textContent = faces.length ? `${fill(by, { threshold })} ${rare}` : "";
  boxes.draw(
    faces.map((face, place) => {
      const match = face.decision === "match";
      const name = match ? face.matches[0].person.name : said.unknown;
      return { box: face.box, match, name, label: fill(said.box, { number: place + 1, name }) };
    }),
    width,
    height,
  );
  answers.draw(shown, $("photo"));
  if (faces.length) select(Math.min(keep, faces.length - 1));
  else {
    const again = $("strict").thorough.checked
      ? null
      : element("button", { class: "button small", type: "button", onclick: () => { $("strict").thorough.checked = true; look(shown.file); } }, said.look_hard);
    complain(said.no_face, again ?? "");
  }
}

/** After somebody was enrolled: the same photo again, which finds them now. */
async function enrolled({ person, sequence, state, added }, face) {
  const keep = shown.faces.indexOf(face);
  announce(fill(state === "done" ? (added ? said.added : said.enrolled) : said[state], { name: person.name }));
  await look(shown.file, { after: sequence, keep });
  answers.focus(keep);
}

// --- photos in ------------------------------------------------------------------------------------------------------

/** The first picture of what was dropped, pasted or chosen. */
function taken(files) {
  const all = [...files];
  const file = all.find((one) => one.type.startsWith("image/") || /\.(heic|heif|avif|tiff?|jpe?g|png|webp|bmp|gif)$/i.test(one.name)) ?? all[0];
  if (!file) return complain(said.no_photo);
  if (all.length > 1) announce(fill(said.one_at_a_time, { name: file.name }), "warn");
  look(file);
}

for (const id of ["file", "snap"]) {
  $(id).addEventListener("change", (event) => {
    if (event.target.files.length) taken(event.target.files);
    event.target.value = "";
  });
}
$("choose").addEventListener("click", () => $("file").click());

const isTyping = (target) => target.closest?.("input:not([type=range],[type=checkbox]), textarea");
document.addEventListener("paste", (event) => {
  const { files } = event.clipboardData;
  if (document.querySelector("dialog[open]") || (isTyping(event.target) && !files.length)) return;
  event.preventDefault();
  taken(files);
});

let depth = 0;
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files") && !document.querySelector("dialog[open]");
document.addEventListener("dragenter", (event) => { if (carriesFiles(event)) { depth++; $("drop").classList.add("over"); } });
document.addEventListener("dragleave", (event) => { if (carriesFiles(event) && --depth <= 0) { depth = 0; $("drop").classList.remove("over"); } });
document.addEventListener("dragover", (event) => { if (event.dataTransfer?.types.includes("Files")) event.preventDefault(); });
document.addEventListener("drop", (event) => {
  if (event.dataTransfer?.types.includes("Files")) event.preventDefault();  // Else the browser leaves the page for the file.
  depth = 0;
  $("drop").classList.remove("over");
  if (carriesFiles(event)) taken(event.dataTransfer.files);
});

// --- how strict -----------------------------------------------------------------------------------------------------

let pause = 0;
$("strict").addEventListener("submit", (event) => event.preventDefault());
$("strict").addEventListener("input", () => {
  const form = $("strict");
  $("strict-own").hidden = form.by.value !== "threshold";
  form.querySelector("output").textContent = number(form.threshold.valueAsNumber, { minimumFractionDigits: 2 });
  clearTimeout(pause);
  if (shown) pause = setTimeout(() => look(shown.file, { keep: answers.current }), 250);
});
const strict = document.querySelector("details.strict");
strict.addEventListener("toggle", () => { if (strict.open && shown) $("strict").threshold.value = shown.answer.threshold.toFixed(2); });
document.addEventListener("click", (event) => { if (strict.open && !strict.contains(event.target)) strict.open = false; });
strict.addEventListener("keydown", (event) => { if (event.key === "Escape") { strict.open = false; strict.querySelector("summary").focus(); } });

// --- the camera -----------------------------------------------------------------------------------------------------

const dialog = $("camera");
const camera = new Camera($("video"), { onlost: (problem) => explain($("camera-problem"), problem) });

async function open(id) {
  explain($("camera-problem"), null);
  $("camera-take").disabled = true;
  try {
    if (!(await camera.start({ id, facing: "environment", width: 1920, height: 1080 }))) return;
    $("video").classList.toggle("mirrored", camera.facesUser);
    $("camera-take").disabled = false;
    $("camera-take").focus();
    await offer($("camera-choice"), camera, open);
  } catch (problem) {
    explain($("camera-problem"), problem);
    $("camera-snap").hidden = problem.kind !== "insecure" && problem.kind !== "refused";
  }
}

$("take").addEventListener("click", () => { dialog.showModal(); open(); });
$("camera-close").addEventListener("click", () => dialog.close());
$("camera-snap").addEventListener("click", () => { dialog.close(); $("snap").click(); });
dialog.addEventListener("close", () => camera.stop());
$("camera-take").addEventListener("click", async () => {
  const { blob } = await camera.grab({ width: 1920, quality: 0.92 });
  dialog.close();
  look(new File([blob], "camera.jpg", { type: "image/jpeg" }));
});
