/** Training as `svgd-onnx train` does it: the same examples in the same order, by the seed. */

import { BatchOrder } from './data/order.js';

/**
 * Trains up to the end of an epoch, counted from the first ever, and yields after each step.
 *
 * @param examples what is trained on, of which `rows` are taken
 * @param settings { epochs, batchSize, seed, shuffle, learningRate }; the last is called before each step
 * @returns steps { epoch, loss, endOfEpoch }; epochs count from 0. What does not fill a last batch is left out of an
 *   epoch
 */
export async function* train(
  trainer,
  examples,
  rows,
  { epochs, batchSize, seed, shuffle = true, learningRate },
) {
  checkBatchSize(batchSize, examples.fixedBatch, rows.length);
  const order = orderOf(trainer, rows.length, batchSize, seed, shuffle);
  for (let step = trainer.steps; order.place(step).epoch < epochs; step++) {
    const chosen = Array.from(order.rows(step), (at) => rows[at]);
    const loss = await trainer.step(examples.take(chosen), learningRate());
    yield { epoch: order.place(step).epoch, loss, endOfEpoch: order.endsEpoch(step) };
  }
}

function checkBatchSize(batchSize, fixed, count) {
  if (fixed !== undefined && batchSize !== fixed)
    throw new Error(`The batch size is ${batchSize}, but the model takes ${fixed} examples at once.`);
  if (!(Number.isInteger(batchSize) && batchSize >= 1 && batchSize <= count))
    throw new Error(
      `The batch size is ${batchSize}, but must be 1 to ${count}, as many as there are examples.`,
    );
}

/** Where training goes on: another batch size, or seed, begins where the last one is. */
function orderOf(trainer, count, batchSize, seed, shuffle) {
  const { step, seed: before, batch_size: size, origin } = trainer.progress;
  let order = new BatchOrder(count, batchSize, seed, { origin, shuffle });
  if (step > 0 && size > 0 && (size !== batchSize || String(before) !== String(seed))) {
    const last = new BatchOrder(count, size, before, { origin, shuffle });
    order = new BatchOrder(count, batchSize, seed, { origin: last.changed(step), shuffle });
  }
  trainer.describe({ seed: String(seed), batch_size: batchSize, origin: order.origin });
  return order;
}
