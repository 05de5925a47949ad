/** Where the tests find what they train, and leave what they made. */

import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const PUBLIC = new URL('../public/', import.meta.url);
const OUTPUT = new URL('../../../build/web/', import.meta.url);
mkdirSync(OUTPUT, { recursive: true });

export const artifact = (name) => readFile(new URL(`artifacts/${name}`, PUBLIC));
export const data = JSON.parse(await readFile(new URL('digits.json', PUBLIC)));
export const output = (name) => fileURLToPath(new URL(name, OUTPUT));
