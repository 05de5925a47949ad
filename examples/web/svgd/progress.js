/** How far a training has come, as a checkpoint's metadata has it: JSON, in which the seed has 64 bits. */

export const PROGRESS = 'svgd.progress';

const BEGINNING = { step: 0, seed: '0', batch_size: 0 };

/** The fields of a checkpoint's progress; the seed as text, since it is no number of JavaScript's. */
export function readProgress(metadata) {
  const text = metadata[PROGRESS];
  if (text === undefined) return BEGINNING;
  try {
    const fields = JSON.parse(text.replace(/("seed": *)(\d+)/, '$1"$2"'));
    if (!Number.isInteger(fields.step) || fields.step < 0) throw new Error('no step');
    return fields;
  } catch {
    throw new Error('The checkpoint does not say how far it is: it is damaged.');
  }
}

/** A checkpoint's metadata from such fields. */
export function writeProgress(fields) {
  return { [PROGRESS]: JSON.stringify(fields).replace(/"seed":"(\d+)"/, '"seed":$1') };
}
