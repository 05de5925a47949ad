/** In which order examples are taken, and which are set aside: as `svgd-onnx train` does it. */

import { permutation } from './random.js';

/**
 * Each epoch goes through the examples in an order of its own, which follows from the seed and the epoch. What does
 * not fill a last batch is left out of that epoch.
 */
export class BatchOrder {
  #epoch = -1;
  #order;

  /**
   * @param count how many examples there are
   * @param origin where training began with this batch size: { first_step, epoch, position }
   * @param shuffle whether an epoch's order is random; else it is that of the examples
   */
  constructor(count, batchSize, seed, { origin, shuffle = true } = {}) {
    this.origin = origin ?? { first_step: 0, epoch: 0, position: 0 };
    this.stepsPerEpoch = Math.max(1, Math.floor(count / batchSize));
    this.left = Math.floor(Math.max(0, count - this.origin.position) / batchSize);
    Object.assign(this, { count, batchSize, seed, shuffle });
  }

  /** The epoch of a step, and how many examples of it were taken before; all count from 0. */
  place(step) {
    const after = step - this.origin.first_step;
    if (after < this.left)
      return { epoch: this.origin.epoch, position: this.origin.position + after * this.batchSize };
    const epochs = Math.floor((after - this.left) / this.stepsPerEpoch);
    const steps = (after - this.left) % this.stepsPerEpoch;
    return { epoch: this.origin.epoch + 1 + epochs, position: steps * this.batchSize };
  }

  endsEpoch(step) {
    return this.place(step + 1).epoch > this.place(step).epoch;
  }

  /** The examples of a step. */
  rows(step) {
    const { epoch, position } = this.place(step);
    if (epoch !== this.#epoch) {
      this.#order = this.shuffle
        ? permutation(this.count, [this.seed, epoch])
        : Uint32Array.from({ length: this.count }, (_, row) => row);
      this.#epoch = epoch;
    }
    return this.#order.subarray(position, position + this.batchSize);
  }

  /** The origin of another batch size, if that begins at a step. */
  changed(step) {
    const { epoch, position } = this.place(step);
    return { first_step: step, epoch, position };
  }
}

/**
 * Sets a share of the examples aside.
 *
 * @param labels one integer for each, of each of which the share is set aside; undefined, where it is of all
 * @returns { training, validation }: rows of each, in their order
 */
export function split(count, labels, share, seed) {
  const aside = roundHalfToEven(count * share);
  if (!(aside > 0 && aside < count))
    throw new Error(
      `A validation share of ${share} of ${count} examples leaves none for one of the two: choose another.`,
    );
  let shuffled = [...permutation(count, [seed, 2 ** 32 - 1, 2])];
  if (labels) {
    // each class's examples spread evenly over a line, of which a part is cut off
    const byClass = groupBy(shuffled, labels);
    const classes = [...byClass.keys()].sort((a, b) => (a < b ? -1 : 1));
    const placed = classes.flatMap((name) => {
      const rows = byClass.get(name);
      return rows.map((row, i) => ({ row, place: (i + 0.5) / rows.length }));
    });
    shuffled = placed.sort((a, b) => a.place - b.place).map(({ row }) => row);
  }
  const sorted = (rows) => Uint32Array.from(rows).sort();
  return { training: sorted(shuffled.slice(aside)), validation: sorted(shuffled.slice(0, aside)) };
}

function groupBy(rows, labels) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(labels[row])) groups.set(labels[row], []);
    groups.get(labels[row]).push(row);
  }
  return groups;
}

function roundHalfToEven(number) {
  const floor = Math.floor(number);
  if (number - floor !== 0.5) return Math.round(number);
  return floor % 2 ? floor + 1 : floor;
}
