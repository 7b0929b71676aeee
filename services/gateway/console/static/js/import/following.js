// A job as it goes on: server-sent events, and asking from time to time where the service has no stream to spare.

import { address, ask } from "../colega.js";
import { ENDS } from "../jobs.js";

const POLL_MS = 1500;
const POLLS_BEFORE_ANOTHER_STREAM = 20;

export class Following {
  #source = null;
  #timer = 0;
  #polls = 0;

  /**
   * @param {string} job
   * @param {{onprogress: (job: object) => void, onitem?: (item: object) => void, onend: (job: object) => void, onaway?: (away: boolean) => void}} told
   */
  constructor(job, told) {
    Object.assign(this, { job, told });
    this.#stream();
  }

  stop() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#timer);
  }

  #stream() {
    const source = (this.#source = new EventSource(address(`jobs/${this.job}/events`, { after: "now" })));
    source.addEventListener("open", () => { this.told.onaway?.(false); this.#poll(); });
    source.addEventListener("progress", (event) => this.told.onprogress(JSON.parse(event.data)));
    source.addEventListener("item", (event) => this.told.onitem?.(JSON.parse(event.data)));
    source.addEventListener("end", (event) => { this.stop(); this.told.onend(JSON.parse(event.data)); });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return;  // It connects again by itself, and goes on after the last event.
      this.stop();
      this.#polls = POLLS_BEFORE_ANOTHER_STREAM;
      this.#poll();
    });
  }

  /** Ask once; and again after a while where there is no stream. */
  async #poll() {
    let job = null;
    try {
      job = await ask("GET", `jobs/${this.job}`);
      this.told.onaway?.(false);
    } catch (problem) {
      if (problem.status === 401 || problem.status === 404) return;
      this.told.onaway?.(true);
    }
    if (this.#source) {
      if (job && !ENDS.has(job.state)) this.told.onprogress(job);
      return;
    }
    if (job && ENDS.has(job.state)) { this.told.onend(job); return; }
    if (job) this.told.onprogress(job);
    this.#timer = setTimeout(() => (--this.#polls > 0 ? this.#poll() : this.#stream()), POLL_MS);
  }
}
