/** Where the tests find what they train, and leave what they made. */

import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { readNpy } from '../data/arrays.js';
import { Examples } from '../data/examples.js';

const PUBLIC = new URL('../public/', import.meta.url);
const OUTPUT = new URL('../../../build/web/', import.meta.url);
mkdirSync(OUTPUT, { recursive: true });

export const ARTIFACTS = fileURLToPath(new URL('artifacts', PUBLIC));
export const output = (name) => fileURLToPath(new URL(name, OUTPUT));
export const own = (name) => output(`own/${name}`);
export const json = async (path) => JSON.parse(await readFile(path));

/** A file as the page gets it from the user. */
export const given = async (path) => [
  { path: path.split('/').at(-1), blob: new Blob([await readFile(path)]) },
];

/** The digits, "train" or "test". */
export async function digits(split, manifest) {
  const arrays = ['image', 'labels'].map(async (name) => {
    const url = new URL(`${split}/${name}.npy`, PUBLIC);
    return [name, readNpy(await readFile(url), name)];
  });
  return new Examples(new Map(await Promise.all(arrays)), manifest, 'the digits');
}

export const rowsOf = (examples) => Uint32Array.from({ length: examples.length }, (_, row) => row);
