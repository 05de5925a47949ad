/** Examples that fit a model: checked once, before any step, and taken batch by batch. */

import { arraysOf, lossesOf } from '../svgd.js';
import { converted, isKnown, kindOfType, rowsOf } from './arrays.js';
import { ImageColumn } from './images.js';
import { OF_CLASSES, YES_OR_NO } from './losses.js';
import { quoted, shown } from './words.js';

/** The numbers that are in range of what a step takes, and one that is in range whatever that is. */
function tensorsOf(manifest) {
  const ranges = new Map();
  for (const { loss, settings, logits_shape, label } of lossesOf(manifest)) {
    if (!label) continue;
    const classes = OF_CLASSES.has(loss) ? logits_shape[settings.class_axis] : undefined;
    const highest = typeof classes === 'number' ? classes - 1 : label.highest;
    const lowest = OF_CLASSES.has(loss) || loss === 'kl' ? 0 : label.lowest;
    ranges.set(label.name, { lowest, highest, ignored: settings.ignore_index });
  }
  return arraysOf(manifest).map((tensor) => ({ ...tensor, ...ranges.get(tensor.name) }));
}

/** The examples of some data, in the form that a model takes. */
export class Examples {
  #columns;
  #tensors;
  #oneByOne;

  /**
   * @param columns by the name of each input and label an array { dtype, shape, data, classes? }, or images
   * @param title what to call the data in a sentence
   * @throws if a name, a type, a shape, a length or a number does not fit; or there are no examples
   */
  constructor(columns, manifest, title) {
    const tensors = tensorsOf(manifest);
    const names = tensors.map(({ name }) => name);
    const missing = names.find((name) => !columns.has(name));
    if (missing !== undefined)
      throw new Error(
        `There is no array '${shown(missing)}' in ${title}: the model wants ${quoted(names)}, but there is ` +
          `${quoted(columns.keys()) || 'nothing'}.`,
      );
    const unknown = [...columns.keys()].find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw new Error(
        `Array '${shown(unknown)}' in ${title} is no input of the model: leave it out, it wants ${quoted(names)}.`,
      );
    refuseTexts(columns, manifest, title);
    this.#oneByOne = tensors.every(({ batch_axis: axis }) => axis === null);
    this.#columns = columns;
    this.#tensors = tensors.map((tensor) => checked(columns.get(tensor.name), tensor, this.#oneByOne, title));
    const lengths = this.#tensors.flatMap((tensor) => {
      const column = columns.get(tensor.name);
      if (tensor.batch_axis === null) return [];
      return [[tensor.name, column.count ?? column.shape[tensor.batch_axis]]];
    });
    const [, length] = lengths[0] ?? ['', 1];
    if (lengths.some(([, other]) => other !== length))
      throw new Error(
        `The arrays in ${title} differ in length (${lengths.map(([name, each]) => `${shown(name)}: ${each}`).join(', ')}).`,
      );
    if (!length) throw new Error(`There is no example in ${title}: it is empty.`);
    Object.assign(this, { title, length, manifest });
  }

  /** How many examples a step takes, where the model leaves no choice. */
  get fixedBatch() {
    if (this.#oneByOne) return 1;
    const { shape, batch_axis: axis } = this.#tensors.find((tensor) => tensor.batch_axis !== null);
    return typeof shape[axis] === 'number' ? shape[axis] : undefined;
  }

  /** The names of the classes of the first label; none where they are not known. */
  get classes() {
    const [{ label }] = lossesOf(this.manifest);
    return (label && this.#columns.get(label.name).classes) ?? [];
  }

  /** One integer an example, if the first label is such. */
  get labels() {
    const [{ label }] = lossesOf(this.manifest);
    const column = label && this.#columns.get(label.name);
    const fits = column?.shape?.length === 1 && kindOfType(column.dtype) === 'i';
    return fits && label.batch_axis === 0 ? column.data : undefined;
  }

  /** The picture of an example, where there is one: { rgba, width, height }. */
  picture(row) {
    return [...this.#columns.values()].find((column) => column.picture)?.picture(row);
  }

  /** The arrays of some rows, by name, each `{ data, dims }`. */
  take(rows) {
    return Object.fromEntries(
      this.#tensors.map((tensor) => {
        const column = this.#columns.get(tensor.name);
        const { dtype, batch_axis: axis } = tensor;
        if (column instanceof ImageColumn) {
          const { data, dims } = column.take(rows, tensor);
          return [tensor.name, { data: converted(data, dtype), dims }];
        }
        const { data, dims } = rowsOf(column, axis, rows, dtype);
        return [tensor.name, { data, dims: this.#oneByOne && axis === 0 ? dims.slice(1) : dims }];
      }),
    );
  }
}

/** Names of classes, where a loss compares numbers or asks yes or no, would be taken for their numbers in order. */
function refuseTexts(columns, manifest, title) {
  for (const { loss, label } of lossesOf(manifest)) {
    const names = label && columns.get(label.name).classes;
    if (!names?.length || !label.dtype.startsWith('float')) continue;
    if (YES_OR_NO.has(loss)) {
      if (names.length === 2) continue;
      throw new Error(`${title} has ${quoted(names)} where the loss ${loss} asks yes or no: give both, or 0 and 1.`);
    }
    const text = names.find((name) => Number.isNaN(Number(name))) ?? names[0];
    throw new Error(
      `${title} has texts where the loss ${loss} compares '${shown(label.name)}' with numbers, as '${shown(text)}': ` +
        'give numbers.',
    );
  }
}

/** A tensor as the column has it: of a model of one example, with an axis of examples in front, if there is one. */
function checked(column, tensor, oneByOne, title) {
  if (!isKnown(tensor.dtype))
    throw new Error(`Input '${shown(tensor.name)}' is of ${tensor.dtype}: train this model with Python.`);
  if (column instanceof ImageColumn) {
    if (tensor.batch_axis !== 0)
      throw new Error(`'${shown(tensor.name)}' has no images along its first axis.`);
    const { layout } = column;
    if (layout.pixels && layout.pixels !== layout.height * layout.width)
      throw new Error(
        `Images of ${layout.height} × ${layout.width} pixels are not the ${layout.pixels} of the input.`,
      );
    return tensor;
  }
  if (oneByOne && column.shape.length === tensor.shape.length + 1)
    tensor = { ...tensor, shape: ['examples', ...tensor.shape], batch_axis: 0 };
  checkForm(column, tensor, title);
  checkValues(column, tensor, title);
  return tensor;
}

function checkForm({ dtype, shape }, tensor, title) {
  const array = `Array '${shown(tensor.name)}' in ${title}`;
  if (kindOfType(dtype) !== kindOfType(tensor.dtype))
    throw new Error(`${array} is ${dtype}, but the model wants ${tensor.dtype}.`);
  const wanted = tensor.shape.map((size, axis) => (axis === tensor.batch_axis ? 'examples' : size));
  const fits = wanted.every((size, axis) => typeof size === 'string' || size === shape[axis]);
  if (shape.length !== wanted.length || !fits)
    throw new Error(
      `${array} has shape (${shape.join(', ')}), but the model wants (${wanted.map(shown).join(', ')}).`,
    );
}

function checkValues({ data, shape, dtype }, tensor, title) {
  const { name, batch_axis: axis, lowest, highest, ignored } = tensor;
  const inner = axis === null ? 1 : shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const place = (at) => (axis === null ? `place ${at}` : `row ${Math.floor(at / inner) % shape[axis]}`);
  if (kindOfType(dtype) === 'f') {
    const finite =
      tensor.dtype === 'float32' ? (value) => Number.isFinite(Math.fround(value)) : Number.isFinite;
    const at = data.findIndex((value) => !finite(value) || value < (lowest ?? -Infinity));
    if (at < 0) return;
    if (finite(data[at]))
      throw new Error(
        `Array '${shown(name)}' in ${title} has ${data[at]} in ${place(at)}, where only numbers of ${lowest} or more ` +
          'are in range.',
      );
    throw new Error(
      `Array '${shown(name)}' in ${title} contains NaN or infinity (${data[at]} in ${place(at)}).`,
    );
  }
  const [least, most] = limits(tensor.dtype);
  const [from, to] = [lowest ?? least, highest ?? most];
  const at = data.findIndex((value) => (value < from || value > to) && Number(value) !== (ignored ?? NaN));
  if (at < 0) return;
  const range = to === most && from > least ? `${from} or more` : `${from} to ${to}`;
  throw new Error(
    `Array '${shown(name)}' in ${title} has ${data[at]} in ${place(at)}, where only ${range} is in range.`,
  );
}

function limits(dtype) {
  if (dtype === 'bool') return [0, 1];
  const bits = BigInt(dtype.replace(/\D/g, ''));
  return dtype.startsWith('u') ? [0n, (1n << bits) - 1n] : [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n];
}
