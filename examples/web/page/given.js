/** Files that are chosen or dropped, as { path, blob } each. */

/** Of an input for files, or for a folder. */
export const chosen = (input) =>
  [...input.files].map((blob) => ({ path: blob.webkitRelativePath || blob.name, blob }));

/** Of a drop: one list for each thing that was dropped, a folder with all that is in it. */
export async function dropped({ items, files }) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...files].map((blob) => [{ path: blob.name, blob }]);
  return await Promise.all(entries.map(inEntry));
}

async function inEntry(entry) {
  if (entry.isFile) {
    const blob = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ path: entry.fullPath.replace(/^\//, ''), blob }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    // some at a time, and none at the end
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const each of some) found.push(...(await inEntry(each)));
  }
}

/** Gives the user a file. */
export function download(bytes, name) {
  const link = Object.assign(document.createElement('a'), {
    href: URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' })),
    download: name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
