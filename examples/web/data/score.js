/** The loss over a set of examples, and the share of right answers where there is such a thing. */

import { lossesOf } from '../svgd.js';
import { OF_CLASSES, YES_OR_NO } from './losses.js';

const BATCH_SIZE = 256;

/**
 * @param rows of the examples
 * @param perBatch called after each batch with its rows and the model's outputs; it may wait
 * @returns { loss, accuracy }: of several losses the weighted sum, and the accuracy of the first that has one, which
 *   is undefined where none has
 */
export async function score(trainer, examples, rows, perBatch) {
  const terms = lossesOf(trainer.manifest);
  const sums = terms.map(() => ({ total: 0, weight: 0, right: 0, counted: 0 }));
  const size = examples.fixedBatch ?? BATCH_SIZE;
  if (rows.length % (examples.fixedBatch ?? 1))
    throw new Error(
      `The model's batch axis is fixed at ${size}, and ${rows.length} examples are no multiple of that.`,
    );
  for (let start = 0; start < rows.length; start += size) {
    const some = rows.slice(start, start + size);
    const batch = examples.take(some);
    const { loss, outputs, losses } = await trainer.evaluate(batch);
    terms.forEach((term, at) => {
      const target = term.label && batch[term.label.name].data;
      const isSum = term.settings.reduction === 'sum';
      const weight = isSum ? 1 : batchWeight(term, target, some.length);
      const sum = sums[at];
      sum.total += (terms.length > 1 ? losses[term.prediction] : loss) * weight;
      sum.weight += weight;
      const { right = 0, counted = 0 } = answers(term, outputs[term.prediction], target) ?? {};
      sum.right += right;
      sum.counted += counted;
    });
    await perBatch?.(some, outputs);
  }
  const value = ({ total, weight }, { settings }) =>
    settings.reduction === 'sum' || !weight ? total : total / weight;
  const loss = terms.reduce((all, term, at) => all + (term.weight ?? 1) * value(sums[at], term), 0);
  const first = sums.find(({ counted }) => counted);
  return { loss, accuracy: first && first.right / first.counted };
}

const isCounted = ({ ignore_index: ignored, class_weights: weights }, label) =>
  (ignored ?? null) === null || Number(label) !== ignored ? (weights?.[Number(label)] ?? 1) > 0 : false;

/** What the mean loss of a batch was divided by, up to a constant. */
function batchWeight({ loss, settings }, target, examples) {
  if (!OF_CLASSES.has(loss)) return examples;
  const counted = Array.from(target).filter((label) => isCounted(settings, label));
  return counted.reduce((sum, label) => sum + (settings.class_weights?.[Number(label)] ?? 1), 0);
}

function answers({ loss, settings, prediction, logits }, { data, dims }, target) {
  if (YES_OR_NO.has(loss)) {
    const threshold = logits === prediction ? 0 : 0.5;
    const right = data.reduce((sum, value, at) => sum + (value > threshold === target[at] > 0.5), 0);
    return { right, counted: data.length };
  }
  if (!OF_CLASSES.has(loss)) return undefined;
  const chosen = highest(data, dims, settings.class_axis);
  let [right, counted] = [0, 0];
  target.forEach((label, at) => {
    if (!isCounted(settings, label)) return;
    counted++;
    right += chosen[at] === Number(label);
  });
  return { right, counted };
}

/** The place of the highest number along an axis. */
export function highest(data, dims, axis) {
  const classes = dims[axis];
  const inner = dims.slice(axis + 1).reduce((product, size) => product * size, 1);
  return Int32Array.from({ length: data.length / classes }, (_, at) => {
    const start = Math.floor(at / inner) * classes * inner + (at % inner);
    let best = 0;
    for (let c = 1; c < classes; c++) if (data[start + c * inner] > data[start + best * inner]) best = c;
    return best;
  });
}
