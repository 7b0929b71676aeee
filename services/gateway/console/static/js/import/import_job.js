// One import as the service has it: how far it is, what was rejected and why, every file.

import { address, announce, ask, counted, element, fill, language, number } from "../colega.js";
import { Following } from "./following.js";
import { ENDS } from "../jobs.js";
import { explained, rejection } from "../reasons.js";
import { FaceDialog } from "./choosing_face.js";

const at = (id) => document.getElementById(id);
const A_PAGE = 50;
const A_GROUP = 12;
const REFRESH_MS = 1500;
const LATEST = 50;
const BADGES = { done: "good", duplicate: "", rejected: "bad", cancelled: "warn", queued: "warn", open: "warn", running: "warn", failed: "bad" };
const CHOOSABLE = new Set(["no_face", "several_faces", "other_person"]);

export class JobView {
  oncancel = () => {};
  #following = null;
  #refreshing = 0;
  #spoken = -1;
  #isSending = false;
  #groups = new Map();

  constructor(page, said) {
    this.page = page;
    this.said = said;
    this.job = null;
    this.faces = page.may_choose ? new FaceDialog(said, (photo, how) => this.#again(photo, how), { large: page.may_manage }) : null;
    at("files-end")?.addEventListener("change", () => this.#files());
    at("files-more")?.addEventListener("click", () => this.#moreFiles());
    at("cancel")?.addEventListener("click", () => at("cancel-dialog").showModal());
    at("cancel-yes")?.addEventListener("click", () => this.#cancel());
    at("retry")?.addEventListener("click", () => this.#retry({}));
    at("retry-largest")?.addEventListener("click", () => this.#retry({ faces: "largest" }));
    at("close-job")?.addEventListener("click", () => this.#close());
    for (const button of document.querySelectorAll("dialog [data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  }

  /** Show *job* from now on. */
  show(job, { isSending = false } = {}) {
    this.#isSending = isSending;
    this.job = job;
    at("job").hidden = false;
    at("another")?.removeAttribute("hidden");
    at("job-title").textContent = job.source || at("job-title").textContent;
    this.#draw(job);
    if (!job.id || !this.page.may_read) return;
    if (!isSending) this.#files();
    if (ENDS.has(job.state)) this.#ended(job);
    else this.#follow();
  }

  /** All was sent. */
  sent() {
    this.#isSending = false;
    if (!this.page.may_read) { at("job-sum").textContent = this.said.states.running; return; }
    if (!this.#following && this.job.id) this.#follow();
    this.#refresh();
  }

  /** A photo that could not be sent: the service does not know of it. */
  lost(path, reason) {
    const { title, advice } = rejection(reason);
    at("not-sent").hidden = false;
    at("not-sent").querySelector("ul").append(element("li", {}, element("strong", {}, path), ` ${title}. ${advice}`));
  }

  #follow() {
    this.#following?.stop();
    this.#following = new Following(this.job.id, {
      onprogress: (job) => this.#draw(job),
      onitem: (item) => this.#came(item),
      onend: (job) => { this.#following = null; this.#ended(job); this.#files(); },
      onaway: (away) => { at("job-bar").classList.toggle("away", away); },
    });
  }

  #draw(job) {
    const { said } = this;
    this.job = { ...this.job, ...job };
    const { state, total, done, duplicate, cancelled, rejected } = this.job;
    const ended = done + duplicate + cancelled + rejected;
    const badge = at("job-state");
    badge.textContent = said.states[state] ?? state;
    badge.className = `badge ${state === "done" ? "good" : BADGES[state] ?? ""}`;
    for (const [name, count] of Object.entries({ done, duplicate, rejected, cancelled, waiting: Math.max(0, total - ended) })) {
      document.querySelector(`[data-end="${name}"] dd`).textContent = number(count);
    }
    at("job-bar").max = Math.max(total, 1);
    at("job-bar").value = ENDS.has(state) && !total ? 1 : ended;
    const parts = [fill(said.sum, { ended: number(ended), total: number(total) })];
    if (this.job.archive && state === "open" && !this.#isSending) parts[0] = total ? `${said.unpacking} ${parts[0]}` : said.unpacking;
    if (this.job.rate && !ENDS.has(state)) parts.push(fill(said.rate, { rate: number(this.job.rate, { maximumFractionDigits: 1 }) }));
    if (this.job.eta_s && !ENDS.has(state)) parts.push(fill(said.left, { time: lasting(this.job.eta_s) }));
    if (!ENDS.has(state)) at("job-sum").textContent = `${parts.join(", ")}.`;
    this.#speak(total ? Math.floor((10 * ended) / total) : 0, parts[0]);
    const isStuck = state === "open" && !this.job.archive && !this.#isSending && this.page.may_enrol;
    at("interrupted").hidden = !isStuck;
    if (isStuck) at("interrupted-sum").textContent = fill(said.interrupted, { received: number(this.job.received), total: number(total) });
    const choose = at("choose");
    if (choose && (this.#isSending || !isStuck)) choose.hidden = true;
    at("cancel")?.toggleAttribute("hidden", ENDS.has(state));
    if (at("report")) at("report").href = this.job.id ? address(`jobs/${this.job.id}/report.csv`, { bom: "true" }) : "";
    at("job-error").hidden = !this.job.error;
    if (this.job.error) at("job-error").textContent = this.job.error;
    if (rejected && this.page.may_read && this.job.id && !this.#refreshing && !ENDS.has(state) && rejected !== this.#shownRejected) this.#refresh();
  }

  #shownRejected = 0;

  /** Tell who cannot see the bar, at every tenth. */
  #speak(tenth, sentence) {
    if (tenth === this.#spoken) return;
    this.#spoken = tenth;
    at("job-said").textContent = sentence;
  }

  #ended(job) {
    this.#draw(job);
    const { said } = this;
    const { state, total, done, rejected, people } = this.job;
    const counts = { photos: counted(said, "photos", done), people: counted(said, "people", people ?? 0), rejected: number(rejected) };
    const kind = done ? (rejected ? "ended_rejected" : "ended") : rejected ? "ended_all_rejected" : total ? "ended_nothing" : "none";
    const sentence = state === "cancelled" ? said.cancelled : fill(said[kind], counts);
    at("job-sum").textContent = at("job-said").textContent = sentence;
    at("to-people").hidden = !done || at("to-people").getAttribute("href") === "#";
    const reasons = this.job.reasons ?? {};
    at("retry")?.toggleAttribute("hidden", !(rejected || this.job.cancelled));
    at("retry-largest")?.toggleAttribute("hidden", !reasons.several_faces);
    this.#rejected().then(() => at("rejected-groups").append(...Object.keys(reasons).map((reason) => this.#groups.get(reason)?.root).filter(Boolean)));
    this.#noneTaken();
  }

  /** Read sums and rejected files again, soon. */
  #refresh() {
    if (this.#refreshing) return;
    this.#refreshing = setTimeout(async () => {
      try {
        const job = await ask("GET", `jobs/${this.job.id}`);
        this.#refreshing = 0;
        this.#shownRejected = job.rejected;
        if (ENDS.has(job.state) && this.#following) return;  // Its end is on the way.
        this.#draw(job);
        await this.#rejected();
      } catch {
        this.#refreshing = 0;  // Later, with the next that comes in.
      }
    }, REFRESH_MS);
  }

  // Rejected files, by reason

  async #rejected() {
    const reasons = Object.entries(this.job.reasons ?? {});
    at("rejected").hidden = !reasons.length;
    for (const [reason, group] of this.#groups) if (!(reason in (this.job.reasons ?? {}))) { group.root.remove(); this.#groups.delete(reason); }
    for (const [reason, count] of reasons) {
      if (!this.#groups.has(reason)) this.#groups.set(reason, this.#newGroup(reason));
      const group = this.#groups.get(reason);
      group.count.textContent = number(count);
      if (group.shown !== count && group.list.childElementCount <= A_GROUP) await this.#fill(group, reason, true);
      group.shown = count;
    }
  }

  #newGroup(reason) {
    const { title, advice } = rejection(reason);
    const count = element("span", { class: "badge bad" });
    const list = element("ul", { class: "rejected" });
    const more = element("button", { class: "button small more", type: "button", hidden: true, onclick: () => this.#fill(group, reason, false) }, this.said.more);
    const root = element("section", {}, element("h3", {}, title, " ", count), element("p", { class: "hint" }, advice), list, more);
    const group = { root, count, list, more, cursor: null, shown: -1 };
    at("rejected-groups").append(root);
    return group;
  }

  async #fill(group, reason, fromStart) {
    group.more.disabled = true;
    const page = await ask("GET", `jobs/${this.job.id}/items`, { query: { status: "rejected", reason, limit: A_GROUP, cursor: fromStart ? null : group.cursor } }).catch((problem) => { announce(explained(problem), "error"); return null; });
    group.more.disabled = false;
    if (!page) return;
    const cards = page.items.map((item) => this.#card(item));
    if (fromStart) group.list.replaceChildren(...cards);
    else group.list.append(...cards);
    if (!fromStart) cards[0]?.querySelector("a, button")?.focus();
    group.cursor = page.next_cursor;
    group.more.hidden = !page.next_cursor;
  }

  #card(item) {
    const { said } = this;
    const actions = [];
    if (item.photo_id && this.faces && CHOOSABLE.has(item.reason)) {
      const word = item.reason === "several_faces" ? said.choose_face : said.look_closer;
      actions.push(element("button", { class: "button small", type: "button", "aria-label": `${word}: ${item.name}`, onclick: () => this.faces.open(item) }, word));
    }
    if (item.photo_id) actions.push(element("a", { class: "button small", href: photoPage(item.photo_id), "aria-label": `${said.open_photo}: ${item.name}` }, said.open_photo));
    return element(
      "li", {},
      picture(item, said, "large"),
      element("p", { class: "file" }, item.name),
      item.person && element("p", { class: "quiet" }, fill(said.of_person, { person: item.person.name })),
      actions.length && element("div", { class: "row" }, actions),
    );
  }

  #personCursor = null;

  /** The people of whom nothing was taken: a whole folder without a face is a wrong folder. */
  async #noneTaken(cursor = null) {
    const section = at("none-taken");
    if (!this.job.rejected) { section.hidden = true; return; }
    const page = await ask("GET", `jobs/${this.job.id}/people`, { query: { none_taken: "true", limit: A_PAGE, cursor } }).catch(() => null);
    if (!page) return;
    const rows = page.items.map(({ person, photos, reason }) => {
      const sentence = fill(reason ? this.said.none_taken_all : this.said.none_taken, { photos: counted(this.said, "photos", photos), reason: reason && rejection(reason).title });
      return element("li", {}, element("strong", {}, person.name), " ", element("span", { class: "quiet" }, sentence));
    });
    const list = section.querySelector("ul");
    if (cursor) list.append(...rows);
    else list.replaceChildren(...rows);
    section.hidden = !list.childElementCount;
    const more = section.querySelector("button");
    more.hidden = !page.next_cursor;
    more.onclick = () => this.#noneTaken(page.next_cursor);
  }

  // Every file

  #cursor = null;

  async #files() {
    if (!at("files-rows")) return;
    this.#cursor = null;
    at("files-rows").replaceChildren();
    await this.#moreFiles();
  }

  async #moreFiles() {
    const status = at("files-end").value || null;
    const more = at("files-more");
    more.disabled = true;
    const page = await ask("GET", `jobs/${this.job.id}/items`, { query: { limit: A_PAGE, status, cursor: this.#cursor } }).catch((problem) => { announce(explained(problem), "error"); return null; });
    more.disabled = false;
    if (!page || (at("files-end").value || null) !== status) return;
    at("files-rows").append(...page.items.map((item) => this.#row(item)));
    this.#cursor = page.next_cursor;
    more.hidden = !page.next_cursor;
    at("files-empty").hidden = at("files-rows").childElementCount > 0;
  }

  /** While it runs, the files that ended last are shown at the top. */
  #came(item) {
    const wanted = at("files-end").value;
    const known = at("files-rows").querySelector(`tr[data-name="${CSS.escape(item.name)}"]`);
    if (wanted && wanted !== item.status) { if (known) known.remove(); return; }
    const row = this.#row(item);
    if (known) known.replaceWith(row);
    else {
      at("files-rows").prepend(row);
      while (at("files-rows").childElementCount > LATEST && !this.#cursor) at("files-rows").lastElementChild.remove();
    }
    at("files-empty").hidden = true;
  }

  #row(item) {
    const { said } = this;
    const note = item.reason ? rejection(item.reason).title : item.status === "done" && item.faces > 1 ? fill(item.detail ? said.several : said.several_kept, { count: number(item.faces) }) : "";
    return element(
      "tr", { "data-name": item.name },
      element("td", {}, picture(item, said, "small")),
      element("td", {}, item.name),
      element("td", {}, item.person?.name ?? ""),
      element("td", {}, element("span", { class: `badge ${BADGES[item.status] ?? ""}` }, said.ends[item.status] ?? item.status), note && element("span", { class: "quiet" }, ` ${note}`)),
    );
  }

  // Changing one's mind

  async #cancel() {
    at("cancel-dialog").close();
    this.oncancel();
    if (!this.job.id) { location.assign(`/import${location.search}`); return; }
    at("cancel").disabled = true;
    try {
      const job = await ask("POST", `jobs/${this.job.id}/cancel`);
      this.#isSending = false;
      at("sending").hidden = true;
      at("stopped").hidden = true;
      if (!this.#following) this.#ended(job);
      at("job-title").focus();
    } catch (problem) {
      announce(explained(problem), "error");
    } finally {
      at("cancel").disabled = false;
    }
  }

  async #retry(how) {
    const buttons = [at("retry"), at("retry-largest")];
    buttons.forEach((button) => { button.disabled = true; });
    try {
      const job = await ask("POST", `jobs/${this.job.id}/retry`, { json: how });
      announce(counted(this.said, "retried", Math.max(0, job.total - job.done - job.duplicate - job.rejected - job.cancelled)));
      this.#restart(job);
    } catch (problem) {
      announce(explained(problem), "error");
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  }

  /** A photo of this job is worked on again, as one of that person by that face. */
  async #again(item, how) {
    const job = await ask("POST", `jobs/${this.job.id}/retry`, { json: { photo_id: item.photo_id, ...how } });
    announce(fill(this.said.queued_again, { file: item.name }));
    this.#restart(job);
  }

  #restart(job) {
    this.#spoken = -1;
    for (const id of ["retry", "retry-largest", "to-people"]) at(id)?.toggleAttribute("hidden", true);
    for (const group of this.#groups.values()) group.shown = -1;
    this.#draw({ ...job, reasons: this.job.reasons });
    at("job-title").focus();
    this.#follow();
  }

  async #close() {
    at("close-job").disabled = true;
    try {
      const job = await ask("POST", `imports/${this.job.id}/close`);
      this.#draw(job);
      at("job-title").focus();
    } catch (problem) {
      announce(explained(problem), "error");
    } finally {
      at("close-job").disabled = false;
    }
  }
}

function photoPage(id) {
  const collection = document.querySelector('meta[name="collection"]')?.content ?? "default";
  return `/photos/${id}${collection === "default" ? "" : `?collection=${encodeURIComponent(collection)}`}`;
}

/** A file's thumbnail, or an empty place where the service has none: what cannot be decoded has no picture. */
function picture(item, said, size) {
  const sides = size === "small" ? { width: "48", height: "48" } : { width: "160", height: "120" };
  const empty = () => element("span", { class: `thumbnail ${size}`, "aria-hidden": "true" });
  if (!item.has_thumbnail) return empty();
  const alt = size === "small" ? "" : fill(said.thumbnail, { file: item.name });
  const image = element("img", { class: `thumbnail ${size}`, src: address(`photos/${item.photo_id}/thumbnail`), alt, loading: "lazy", ...sides });
  image.addEventListener("error", () => image.replaceWith(empty()));
  return image;
}

/** "40 seconds", "3 minutes", "2 hours". */
function lasting(seconds) {
  const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(Math.max(1, Math.round(value)));
}
