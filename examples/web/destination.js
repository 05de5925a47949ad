/** Files that training leaves in Node: looked at before it begins, written whole when it ends. */

import { constants } from 'node:fs';
import { access, lstat, open, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { shown } from './data/words.js';

/**
 * Refuses a path whose folder is not there or cannot be written, that is something other than a file, or that lies
 * among what is read.
 *
 * @param read paths of files and folders
 * @throws in one sentence
 */
export async function checkDestination(path, read) {
  const name = `'${shown(path)}'`;
  const status = await lstat(path).catch(() => null);
  if (status && !status.isFile())
    throw new Error(`${name} is no ordinary file, and is not replaced: give another name.`);
  const folder = await realpath(dirname(path)).catch(() => null);
  const isClosed = !folder || (await access(folder, constants.W_OK).catch((error) => error));
  if (isClosed || path.endsWith('/') || basename(path) === '..')
    throw new Error(`${name} cannot be written: give a name in a folder that is there.`);
  const place = join(folder, basename(path));
  for (const each of read) {
    const other = await realpath(each).catch(() => null);
    if (other && (place === other || place.startsWith(other + sep)))
      throw new Error(`${name} is or lies in '${shown(each)}', which is read: give another name.`);
  }
}

/** Replaces a file all at once; the old one stays where that fails. */
export async function writeWhole(path, content) {
  const temporary = `${path}.new`;
  try {
    await rm(temporary, { force: true }); // of a program that was killed; through a link nothing is written
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new Error(`'${shown(path)}' cannot be written (${error.code ?? error.message}).`);
  }
}
