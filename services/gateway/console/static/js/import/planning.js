// What of the files that were chosen is sent, and whom each shows: the rules of services/sources, told before anything is sent.

const PHOTO = /\.(jpe?g|jpe|png|webp|gif|bmp|tiff?|hei[cf]|avif)$/i;
const ARCHIVE = /\.(zip|tar|tgz|tar\.gz|txz|tar\.xz)$/i;
const SYSTEM = new Set(["thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db", "icon\r", "lost+found", "$recycle.bin", "system volume information"]);
const NUMBERED = /^(.+?)[ _-]+\d+$/;
const CONTROL = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u;
const LONGEST_NAME = 200;
const MANIFEST = "manifest.csv";
const HEAD_BYTES = 16;

export const isArchive = (path) => ARCHIVE.test(path);

/**
 * Sort *found* into photos and what is left out, and propose a layout.
 * @param {{path: string, file: File|null}[]} found
 * @param {number} mostBytes a larger photo is not taken
 * @returns {Promise<{photos: {path, file}[], skipped: {path, reason}[], manifest: Map|null, layout: string}>}
 */
export async function sorted(found, mostBytes) {
  const photos = [];
  const skipped = [];
  let manifest = null;
  const root = commonRoot(found.map(({ path }) => path));
  for (const { path, file } of found) {
    const parts = path.split("/");
    const inside = root ? path.slice(root.length) : path;
    if (inside === MANIFEST && file) manifest = readManifest(await file.text());
    else if (parts.some((part) => part.startsWith(".") || SYSTEM.has(part.toLowerCase()))) skipped.push({ path, reason: "hidden_or_system_file" });
    else if (!file) skipped.push({ path, reason: "missing_file" });
    else if (isArchive(path)) skipped.push({ path, reason: "not_an_image" });
    else if (!PHOTO.test(path) && !(await looksLikePhoto(file))) skipped.push({ path, reason: file.size === 0 ? "empty" : "not_an_image" });
    else if (file.size > mostBytes) skipped.push({ path, reason: "too_large" });
    else photos.push({ path, inside, file });
  }
  const collator = new Intl.Collator(undefined, { numeric: true });
  photos.sort((a, b) => collator.compare(a.path, b.path));
  const inFolders = photos.filter(({ path }) => path.includes("/")).length;
  const layout = manifest ? "manifest" : photos.length && 2 * inFolders >= photos.length ? "directory" : photos.length > 1 ? guessed(photos) : "one";
  return { photos, skipped, manifest, layout };
}

/** Names like Name_0001.jpg of more than one person, or the same person every time. */
const guessed = (photos) => {
  const names = photos.map(({ path }) => byFileName(path)).filter(Boolean);
  const camera = names.every((name) => /^(img|dsc|dscn|pxl|photo|foto|image|p)$/i.test(name));
  return names.length === photos.length && !camera ? "filename" : "one";
};

/**
 * Whom *photo* shows: {person, external_id?, attributes?}; {} where nobody says; or {refused: reason, why?}.
 * @param {{path: string, inside: string}} photo
 * @param {string} layout
 * @param {{manifest: Map|null, name: string}} told
 */
export function label(photo, layout, { manifest, name }) {
  if (layout === "nobody") return {};
  if (layout === "one") return named(name);
  if (layout === "manifest") {
    const row = manifest?.get(photo.inside) ?? manifest?.get(photo.path);
    return row ? { ...named(row.person), ...(row.external_id && { external_id: row.external_id }), ...(row.attributes && { attributes: row.attributes }) } : { refused: "not_listed" };
  }
  if (layout === "directory") {
    const folders = photo.path.split("/").slice(0, -1);
    return folders.length ? named(folders.at(-1)) : { refused: "invalid_name", why: "no_folder" };
  }
  const found = byFileName(photo.path);
  return found ? named(found) : { refused: "invalid_name", why: "no_such_name" };
}

function named(name) {
  const person = name.normalize("NFC").replace(/ +/g, " ").trim();
  return !person || [...person].length > LONGEST_NAME || CONTROL.test(person) ? { refused: "invalid_name" } : { person };
}

const byFileName = (path) => NUMBERED.exec(path.split("/").at(-1).replace(/\.[^.]*$/, ""))?.[1] ?? null;

/** "photos/" where all paths are below one folder, else "". */
function commonRoot(paths) {
  const first = paths[0]?.split("/")[0];
  return first && paths.every((path) => path.startsWith(`${first}/`)) ? `${first}/` : "";
}

/** Whether a file without a photo's ending begins like one. */
async function looksLikePhoto(file) {
  let head;
  try {
    head = new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer());
  } catch {
    return false;
  }
  const text = String.fromCharCode(...head);
  return /^(\xff\xd8\xff|\x89PNG|GIF8|BM|II\*\0|MM\0\*)/.test(text) || /^RIFF[^]{4}WEBP/.test(text) || /^[^]{4}ftyp(heic|heix|mif1|msf1|avif)/.test(text);
}

/** The rows of a manifest by path, or null where it lacks the columns path and person. Comma or semicolon, quoted as spreadsheets do. */
export function readManifest(text) {
  const head = text.replace(/^\ufeff/, "");
  const first = head.split("\n", 1)[0];
  const rows = readCsv(head, first.split(";").length > first.split(",").length ? ";" : ",");
  const columns = (rows.shift() ?? []).map((column) => column.trim().toLowerCase());
  if (!columns.includes("path") || !columns.includes("person")) return null;
  const found = new Map();
  for (const row of rows) {
    const of = Object.fromEntries(columns.map((column, place) => [column, (row[place] ?? "").trim()]));
    const { path, person, external_id, ...more } = of;
    const key = path.replaceAll("\\", "/").replace(/^\.\//, "");
    const attributes = Object.fromEntries(Object.entries(more).filter(([column, value]) => column && value));
    if (key && !found.has(key)) found.set(key, { person, external_id, attributes: Object.keys(attributes).length ? attributes : null });
  }
  return found;
}

function readCsv(text, delimiter) {
  const rows = [[]];
  const field = new RegExp(`(?:"((?:[^"]|"")*)"|([^${delimiter}\\r\\n]*))(${delimiter}|\\r?\\n|\\r|$)`, "gy");
  for (let match; field.lastIndex < text.length && (match = field.exec(text)); ) {
    rows.at(-1).push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'));
    if (match[3] !== delimiter && field.lastIndex < text.length) rows.push([]);
  }
  return rows.filter((row) => row.some((value) => value !== ""));
}
