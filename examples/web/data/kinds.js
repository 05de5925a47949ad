/** From files of each kind to what a model takes. */

import { lossesOf } from '../svgd.js';
import { missing } from '../svgd/artifacts.js';
import { readNpy } from './arrays.js';
import { decodeAll, imagesByClass } from './images.js';
import { joined, matching, readTable } from './table.js';
import { shown } from './words.js';

/** The labels of a model's losses. */
export const labelsOf = (manifest) => lossesOf(manifest).flatMap(({ label }) => label ?? []);

/** Reads artifacts among files: those that lie beside svgd.json. */
export function readerOf(files, title) {
  const [manifest] = files
    .filter(({ path }) => /(^|\/)svgd\.json$/.test(path))
    .sort((one, other) => one.path.length - other.path.length);
  const folder = manifest.path.slice(0, -'svgd.json'.length);
  const byPath = new Map(files.map((file) => [file.path, file]));
  return async (name) => {
    const file = byPath.get(folder + name);
    if (!file) throw new Error(missing(title, name));
    return await file.bytes();
  };
}

/** By the kind of data, how its files are read. */
export const DATA = {
  async arrays(files) {
    const arrays = files.filter(({ path }) => /\.npy$/i.test(path));
    const columns = new Map();
    for (const file of arrays) {
      const name = file.path
        .split('/')
        .at(-1)
        .replace(/\.npy$/i, '');
      columns.set(name, readNpy(await file.bytes(), file.path));
    }
    return { columns, count: Math.max(...[...columns.values()].map(({ shape }) => shape[0] ?? 1)) };
  },
  async table([file]) {
    return readTable(await file.bytes(), file.path);
  },
  async images(files, title) {
    const { images, classes, labels } = imagesByClass(files, title);
    return { images, classes, labels, count: images.length };
  },
};

/** By the kind of data, what an input and a label is made of. */
export const COLUMNS = {
  arrays: ({ columns }) => columns,
  table(table, manifest, { columns }) {
    const labels = new Set(labelsOf(manifest).map(({ name }) => name));
    const tensors = [...manifest.inputs, ...labelsOf(manifest)];
    return new Map(
      tensors.map((tensor) => {
        const { name } = tensor;
        if (tensor.batch_axis !== 0)
          throw new Error(`'${shown(name)}' has no examples along its first axis: give it as an .npz file.`);
        return [name, joined(table, matching(table, columns[name] ?? '', name), tensor, labels.has(name))];
      }),
    );
  },
  async images({ images, labels, title }, manifest, options, progress) {
    const [label, ...more] = labelsOf(manifest);
    if (manifest.inputs.length > 1 || !label || more.length)
      throw new Error('Images by class are for a model of one input and one label: give an .npz file.');
    const [input] = manifest.inputs;
    const column = await decodeAll(images, input, { ...options, title }, progress);
    return new Map([
      [input.name, column],
      [label.name, labels],
    ]);
  },
};
