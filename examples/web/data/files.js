/** Files that a user gives: single ones, folders and zip files, as lists of { path, size, bytes() }. */

import { BlobReader, ZipReader } from '../node_modules/@zip.js/zip.js/index-native.min.js';
import { listed, shown } from './words.js';

/** Of one folder or zip file, unpacked. */
export const LIMITS = { files: 100_000, bytes: 2 ** 30 };

/** The files of a folder, or of one zip file if that is all that is given. */
export async function filesOf(given) {
  const [first] = given;
  if (given.length === 1 && /\.(zip|npz)$/i.test(first.path)) return await unzipped(first);
  return checked(
    given.map(({ path, blob }) => ({
      path,
      size: blob.size,
      bytes: async () => new Uint8Array(await blob.arrayBuffer()),
    })),
    given.length === 1 ? shown(first.path) : 'The folder',
  );
}

async function unzipped({ path: name, blob }) {
  const title = `'${shown(name)}'`;
  const reader = new ZipReader(new BlobReader(blob), { useWebWorkers: false, checkOverlappingEntry: true });
  const files = [];
  try {
    for await (const entry of reader.getEntriesGenerator({ filenameValidation: 'tolerant' })) {
      if (files.length === LIMITS.files) throw tooMany(title);
      const path = entry.filename;
      if (entry.encrypted) throw new Refused(`${title} has a password: give one without.`);
      if (entry.symlink) throw new Refused(`${title} has a link in it, '${shown(path)}': give files.`);
      const { directory, uncompressedSize: size } = entry;
      files.push({ path, directory, size, bytes: () => unpacked(entry, title) });
    }
  } catch (error) {
    if (error instanceof Refused) throw error;
    throw new Error(`${title} is no zip file that can be read (${error.message}).`);
  }
  return checked(files, title);
}

/** The bytes of an entry, which are as many as the directory of the zip says, and have its checksum. */
async function unpacked(entry, title) {
  const path = shown(entry.filename);
  const bytes = new Uint8Array(entry.uncompressedSize);
  let end = 0;
  const sink = new WritableStream({
    write(chunk) {
      if (end + chunk.length > bytes.length) throw new Error('it is longer than it states');
      bytes.set(chunk, end);
      end += chunk.length;
    },
  });
  try {
    await entry.getData(sink, { useWebWorkers: false, checkCrc32: true });
    if (end < bytes.length) throw new Error('it is shorter than it states');
  } catch (error) {
    throw new Error(`'${path}' in ${title} cannot be unpacked (${error.message}).`);
  }
  return bytes;
}

class Refused extends Error {}

const tooMany = (title) =>
  new Refused(`${title} has more than ${LIMITS.files.toLocaleString('en')} files: give a smaller one.`);

/** Files that lie within their folder, each once, and are together no larger than what memory holds. */
function checked(files, title) {
  if (files.length > LIMITS.files) throw tooMany(title);
  const seen = new Set();
  let total = 0;
  for (const { path, size } of files) {
    const parts = path.replace(/\/$/, '').split('/');
    const leaves = parts.some((part) => part === '..' || part === '.' || part === '');
    if (leaves || /^[a-z]:|[\\\0]/i.test(path))
      throw new Error(`${title} has the path '${shown(path)}', which leads out of it: it is not read.`);
    if (seen.has(path)) throw new Error(`${title} has '${shown(path)}' twice: it is not read.`);
    seen.add(path);
    total += size;
  }
  if (total > LIMITS.bytes) {
    const largest = files.reduce((one, other) => (other.size > one.size ? other : one));
    throw new Error(
      `${title} holds ${gib(total)} GiB, and at most ${gib(LIMITS.bytes)} is read ('${shown(largest.path)}' has ` +
        `${gib(largest.size)}): it is not unpacked.`,
    );
  }
  return files.filter(({ path, directory }) => !directory && !isHidden(path));
}

const gib = (bytes) => String(+(bytes / 2 ** 30).toFixed(1));

/** Files of the system's, as `.DS_Store`, and what Macs put into zip files. */
const isHidden = (path) => path.split('/').some((part) => part.startsWith('.') || part === '__MACOSX');

/** Without the folders that all files lie in. */
export function withoutRoot(files) {
  const [top] = files[0].path.split('/');
  if (!files.every(({ path }) => path.startsWith(`${top}/`))) return files;
  return withoutRoot(files.map((file) => ({ ...file, path: file.path.slice(top.length + 1) })));
}

const SUFFIX = /\.(jpe?g|png|bmp|gif|webp|tiff?|pgm|ppm)$/i;
export const isImage = ({ path }) => SUFFIX.test(path);

/** What files are: "artifacts", "checkpoint", "arrays", "table" or "images". */
export function kindOf(files) {
  const has = (pattern) => files.some(({ path }) => pattern.test(path));
  if (!files.length) throw new Error('There is no file in it.');
  if (has(/(^|\/)svgd\.json$/)) return 'artifacts';
  if (files.length === 1 && has(/\.safetensors$/i)) return 'checkpoint';
  if (has(/\.npy$/i)) return 'arrays';
  if (files.length === 1 && has(/\.[ct]sv$/i)) return 'table';
  if (files.some(isImage)) return 'images';
  const names = listed(files.slice(0, 3).map(({ path }) => `'${shown(path)}'`));
  throw new Error(
    `There is nothing of a known form (${names}): give artifacts, a checkpoint, images in a zip by class, ` +
      '.csv, .npz or .npy files.',
  );
}
