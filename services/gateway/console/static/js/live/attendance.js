// Who was here and when: a list in this page, and as a file for spreadsheets.

const BYTE_ORDER_MARK = "\uFEFF"; // Else Excel takes the file for another encoding.

export class Attendance {
  #people = new Map();
  #strangers = new Set();

  /** A person was recognised: {id, name, external_id}, at *time*, ms since 1970. */
  saw(person, time) {
    const known = this.#people.get(person.id);
    if (known) Object.assign(known, { ...person, last: time });
    else this.#people.set(person.id, { ...person, first: time, last: time });
  }

  /** The track *number* is of somebody unknown; or, later, of somebody after all. */
  sawStranger(number) { this.#strangers.add(number); }
  knows(number) { this.#strangers.delete(number); }

  /** How many faces stayed unknown. Somebody who goes and comes again is counted again. */
  get strangers() { return this.#strangers.size; }

  /** Who was here, the first first: {id, name, external_id, first, last}. */
  get people() { return [...this.#people.values()]; }

  get empty() { return !this.#people.size && !this.#strangers.size; }

  clear() {
    this.#people.clear();
    this.#strangers.clear();
  }

  /** As CSV (RFC 4180) in UTF-8. @param {{name, id, first, last, unknown_faces: string}} words the columns' titles */
  csv(words) {
    const rows = this.people.map(({ name, external_id: id, first, last }) => [name, id ?? "", stamp(first), stamp(last)]);
    if (this.strangers) rows.push([words.unknown_faces, String(this.strangers), "", ""]);
    return BYTE_ORDER_MARK + [[words.name, words.id, words.first, words.last], ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");
  }
}

/** One value between quotes. What a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV Injection"). */
const cell = (value) => `"${(/^[\s]*[=+\-@\t\r|%]/.test(value) ? `'${value}` : value).replaceAll('"', '""')}"`;

/** The reader's local time as spreadsheets understand it: 2026-02-01 09:05:00. */
function stamp(time) {
  const at = new Date(time);
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
