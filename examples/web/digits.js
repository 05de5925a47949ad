/** scikit-learn's handwritten digits, as `prepare.py` writes them: what the page and Node have in common. */

const WHITE = 16; // pixels are 0 to 16

/** Examples of one split, to be taken as batches under the names that a model gives them. */
export class Digits {
  constructor({ images, labels }, manifest) {
    this.images = images;
    this.labels = labels;
    this.manifest = manifest;
  }

  get size() {
    return this.labels.length;
  }

  /** The examples of some rows, by default all. */
  batch(rows = this.labels.keys()) {
    const chosen = [...rows];
    const pixels = chosen.flatMap((row) => this.images[row].map((pixel) => pixel / WHITE));
    const labels = chosen.map((row) => BigInt(this.labels[row]));
    return batchOf(this.manifest, pixels, labels);
  }
}

/** A batch from pixels between 0 and 1, 64 an image. */
export function batchOf({ inputs, label }, pixels, labels) {
  return { [inputs[0].name]: Float32Array.from(pixels), [label.name]: BigInt64Array.from(labels) };
}

/** For each example of a batch, the probability of each class. */
export async function predict(trainer, batch) {
  const { loss, outputs } = await trainer.evaluate(batch);
  const { data, dims } = outputs[trainer.manifest.prediction];
  const classes = dims.at(-1);
  const rows = Array.from({ length: data.length / classes }, (_, row) => [
    ...data.slice(row * classes, (row + 1) * classes),
  ]);
  return { loss, probabilities: rows, answers: rows.map((row) => row.indexOf(Math.max(...row))) };
}

/** The share of right answers, the rows that are wrong and what was answered instead. */
export async function evaluate(trainer, digits) {
  const { loss, answers } = await predict(trainer, digits.batch());
  const mistakes = answers
    .map((answer, row) => ({ row, answer, label: digits.labels[row] }))
    .filter(({ answer, label }) => answer !== label);
  return { loss, accuracy: 1 - mistakes.length / digits.size, mistakes };
}

/**
 * Trains, and yields after each step. Examples that do not fill a last batch are left out of an epoch.
 *
 * @param orders the order of the rows in each epoch
 * @param settings called before each step, for `{ epochs, batchSize, learningRate }`
 */
export async function* train(trainer, digits, orders, settings) {
  for (let epoch = 0; epoch < settings().epochs; epoch++) {
    const { batchSize } = settings();
    const order = orders[epoch % orders.length];
    const steps = Math.floor(order.length / batchSize);
    for (let step = 0; step < steps; step++) {
      const rows = order.slice(step * batchSize, (step + 1) * batchSize);
      const loss = await trainer.step(digits.batch(rows), settings().learningRate);
      yield { epoch, loss, endOfEpoch: step + 1 === steps };
    }
  }
}
