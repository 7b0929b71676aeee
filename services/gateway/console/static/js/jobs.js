// Jobs: how one comes to its end, for who has to wait for it. A page that shows a job follows its events: import/following.js.

import { ask, later } from "./colega.js";

export const ENDS = new Set(["done", "failed", "cancelled"]);

/**
 * The job, once it has come to its end, or as it is when *longestMs* are over.
 * @param {string} id
 * @param {{firstMs: number, lastMs?: number, longestMs?: number, onlook?: (job: object) => void}} how the pauses between two
 * looks, each a fifth longer than the one before; *onlook* is told of every look
 */
export async function ended(id, { firstMs, lastMs = firstMs, longestMs = Infinity, onlook = () => {} }) {
  const giveUp = performance.now() + longestMs;
  for (let pause = firstMs; ; pause = Math.min(pause * 1.2, lastMs)) {
    const job = await ask("GET", `jobs/${id}`);
    onlook(job);
    if (ENDS.has(job.state) || performance.now() > giveUp) return job;
    await later(pause);
  }
}
