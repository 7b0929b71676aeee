// Enrolling one photo of one person, and waiting until they can be found: over /v1/people and the job that it answers with.

import { ask } from "./colega.js";
import { ended } from "./jobs.js";

const WAIT = { firstMs: 80, lastMs: 500, longestMs: 120_000 };

/** The photo was taken in and then refused: *reason* as in rejected items. *person* was made for it, and is there without a photo. */
export class Rejected extends Error {
  constructor(reason, detail, person) {
    super(detail ?? reason);
    this.reason = reason;
    this.person = person;
  }
}

/**
 * Enrol a photo.
 * @param {{person?: {id: string, name: string}|null, name?: string, externalId?: string}} who somebody enrolled, or a new name
 * @param {Blob} photo that shows them, or in which their face is the largest central one
 * @param {{filename?: string, mayRead: boolean}} more whether the key may follow the job
 * @returns {Promise<{person: object, sequence: number|null, state: string}>} *state*: "done", "known" where the person has that
 * very photo, or "sent" where it cannot be told here when it is done; *sequence* for `after=`, if there is one
 * @throws {Problem|Rejected}
 */
export async function enrol({ person = null, name = "", externalId = "" }, photo, { filename = "photo.jpg", mayRead }) {
  const form = new FormData();
  form.append("photo", photo, filename);
  let accepted;
  const agreed = document.getElementById("picker-consent")?.checked ? new Date().toISOString() : null;
  if (person && agreed) await ask("POST", `people/${person.id}/consent`, { json: { given_at: agreed } });
  if (person) accepted = await ask("POST", `people/${person.id}/photos`, { form });
  else {
    form.append("name", name);
    if (agreed) form.append("consent_given_at", agreed);
    if (externalId) form.append("external_id", externalId);
    accepted = await ask("POST", "people", { form });
  }
  const shown = person ?? { id: accepted.id, name: accepted.name, external_id: accepted.external_id ?? null };
  const newcomer = person ? null : { ...shown, name };  // By the name as it was typed.
  const [item] = accepted.items;
  if (item.status === "rejected") throw new Rejected(item.reason, null, newcomer);
  if (!mayRead) return { person: shown, sequence: null, state: "sent" };
  const job = await ended(accepted.job, WAIT);
  if (job.rejected) {
    const { items } = await ask("GET", `jobs/${job.id}/items`, { query: { status: "rejected", limit: 1 } });
    throw new Rejected(items[0]?.reason ?? "low_quality", items[0]?.detail, newcomer);
  }
  const state = job.duplicate ? "known" : job.done ? "done" : "sent";
  return { person: shown, sequence: job.sequence, state };
}

/** Remove somebody who was made for a photo that was refused, when nobody tries again. Quietly: it is no longer what one is at. */
export async function forget(person, mayManage) {
  if (person && mayManage) await ask("DELETE", `people/${person.id}`).catch(() => {});
}
