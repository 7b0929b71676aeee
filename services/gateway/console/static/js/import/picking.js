// Files that were dropped or chosen, with their paths: [{path, file}]. A File is a handle; nothing is read before it is needed.

export const MOST_FILES = 100_000;
const DEEPEST = 32;

export class TooManyFiles extends Error {}

/** Of <input type="file">, with or without webkitdirectory. */
export const chosen = (input) => [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));

/**
 * Of a drop: files, and all that is in folders. To be called while the event is under way; what it promises may be waited for.
 * @param {DataTransfer} transfer
 * @param {(count: number) => void} onProgress told how many files there are so far
 */
export async function dropped(transfer, onProgress = () => {}) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null);
  const found = items.flatMap((item, place) => {
    if (entries[place]) return [];
    const file = item.getAsFile();
    return file ? [{ path: file.name, file }] : [];
  });
  for (const entry of entries) if (entry) await walk(entry, 0, found, onProgress);
  onProgress(found.length);
  return found;
}

async function walk(entry, depth, found, onProgress) {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    let file = null;
    try {
      file = await new Promise((good, bad) => { entry.file(good, bad); });
    } catch {
      // Not readable: listed, and left out with a reason.
    }
    found.push({ path, file });
    if (found.length > MOST_FILES) throw new TooManyFiles();
    if (found.length % 200 === 0) onProgress(found.length);
  } else if (depth < DEEPEST) {
    const reader = entry.createReader();
    for (;;) {  // A reader gives a hundred at a time.
      const some = await new Promise((good, bad) => { reader.readEntries(good, bad); }).catch(() => []);
      if (!some.length) break;
      for (const below of some.sort((a, b) => (a.name < b.name ? -1 : 1))) await walk(below, depth + 1, found, onProgress);
    }
  }
}
