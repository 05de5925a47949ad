/** What a folder of artifacts holds, and whether it is what svgd.json says. */

const MANIFEST = 'svgd.json';
const MODELS = ['training_step.onnx', 'eval_model.onnx'];
const CHECKPOINT = 'checkpoint.safetensors';
const WITHOUT_WEIGHTS = 'model_without_weights.onnx';
const FORMAT = 4; // of svgd.json, the newest that is known
const AGAIN = 'convert the model again, and put the checkpoint in its place to go on';

/**
 * Reads artifacts of the target onnx.
 *
 * @param source URL of their folder, its path (in Node), or a function from a file's name to its bytes
 * @returns { manifest, step, evaluation, checkpoint, modelWithoutWeights }; the last a function
 * @throws if one is missing, damaged, of another target or of a newer format
 */
export async function readArtifacts(source) {
  const read = readerOf(source);
  const manifest = parseManifest(await read(MANIFEST));
  const model = (name) => checkedModel(read, manifest, name);
  const [step, evaluation] = await Promise.all(MODELS.map(model));
  const checkpoint = await read(CHECKPOINT);
  return { manifest, step, evaluation, checkpoint, modelWithoutWeights: () => model(WITHOUT_WEIGHTS) };
}

/** The contents of svgd.json, from its bytes. */
export function parseManifest(bytes) {
  let manifest;
  try {
    manifest = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error(`${MANIFEST} is damaged (it is no JSON): convert the model again.`);
  }
  const isOurs = manifest && ['format', 'versions', 'target'].every((key) => Object.hasOwn(manifest, key));
  if (!isOurs)
    throw new Error(
      `${MANIFEST} is none of svgd-onnx's: give a folder that svgd-onnx convert --target onnx made.`,
    );
  const { format, target } = manifest;
  if (format > FORMAT)
    throw new Error(`${MANIFEST} has format ${format}, and this reads up to ${FORMAT}: update svgd.js.`);
  if (target !== 'onnx')
    throw new Error(
      `The artifacts are of the target ${target}, and this trains those of onnx: convert with --target onnx.`,
    );
  const lists = ['inputs', 'outputs', 'parameters', 'operations'];
  const wrong = Number.isInteger(format) ? lists.find((name) => !Array.isArray(manifest[name])) : 'format';
  if (wrong)
    throw new Error(`${MANIFEST} is damaged ('${wrong}' is not what it has to be): convert the model again.`);
  return manifest;
}

/** The losses, one or several, each with its label (or null), as Python's `Manifest.terms`. */
export function lossesOf(manifest) {
  const { loss, loss_settings: settings, prediction, logits, logits_shape, label, losses = [] } = manifest;
  return losses.length ? losses : [{ loss, settings, prediction, logits, logits_shape, label, weight: 1 }];
}

/** What a step takes: the inputs and the labels. */
export function arraysOf(manifest) {
  return [...manifest.inputs, ...lossesOf(manifest).flatMap(({ label }) => label ?? [])];
}

/** Refuses tensors of a checkpoint, by name, that are not those of the artifacts. */
export function checkTensors({ parameters, operations, states = [] }, tensors) {
  const wanted = [
    ...parameters,
    ...operations.filter(({ state }) => state).map(({ state, state_shape }) => [state, state_shape]),
    ...states,
  ].map((each) => (Array.isArray(each) ? each : [each.name, each.shape]));
  for (const [name, shape] of wanted) {
    const found = tensors.get(name);
    if (String(found?.shape) === String(shape)) continue;
    const has = found ? `has shape (${found.shape}) in it, and (${shape}) by ${MANIFEST}` : 'is not in it';
    throw new Error(`This is a checkpoint of another model: '${name}' ${has}.`);
  }
}

/** Refuses a checkpoint that was trained by other artifacts of the same shapes. */
export function checkConversion(manifest, { conversion = {} }) {
  const source = manifest.source && Object.values(manifest.source).sort().join('+');
  const here = { "the model's SHA-256": source, 'the optimizer': manifest.optimizer };
  if (!(manifest.losses ?? []).length) here['the loss'] = manifest.loss;
  for (const [name, value] of Object.entries(here)) {
    if (value && conversion[name] && conversion[name] !== value)
      throw new Error(
        `This checkpoint was trained by another conversion: ${name} was ${conversion[name]}, and is ${value}.`,
      );
  }
}

async function checkedModel(read, { files = {} }, name) {
  const bytes = await read(name);
  if (!Object.hasOwn(files, name)) return bytes; // format 1 knows no hashes
  if (!globalThis.crypto?.subtle)
    throw new Error('Files cannot be checked here: open this page by https, or from localhost.');
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const text = [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (text !== files[name])
    throw new Error(
      `${name} is not the file that was made with ${MANIFEST} (its SHA-256 is another): ${AGAIN}.`,
    );
  return bytes;
}

const HAS_FILES = typeof process !== 'undefined' && Boolean(process.versions?.node);

function readerOf(source) {
  if (typeof source === 'function') return source;
  const isPath = HAS_FILES && !/^[a-z]{2,}:/i.test(String(source));
  return isPath || String(source).startsWith('file:')
    ? (name) => readFile(source, name)
    : (name) => download(source, name);
}

async function readFile(folder, name) {
  const [{ readFile: read }, { join }, { fileURLToPath }] = await Promise.all(
    ['node:fs/promises', 'node:path', 'node:url'].map((module) => import(module)),
  );
  const path = String(folder).startsWith('file:') ? fileURLToPath(folder) : String(folder);
  try {
    return await read(join(path, name));
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR')
      throw new Error(`'${join(path, name)}' cannot be read (${error.code}).`);
    throw new Error(missing(`'${path}'`, name));
  }
}

async function download(folder, name) {
  const url = `${String(folder).replace(/\/$/, '')}/${name}`;
  const response = await fetch(url);
  if (response.status === 404) throw new Error(missing(`'${folder}'`, name));
  if (!response.ok) throw new Error(`${url} cannot be loaded: ${response.status} ${response.statusText}.`);
  return new Uint8Array(await response.arrayBuffer());
}

/** What to say where a file of artifacts is not there. */
export function missing(folder, name) {
  return name === MANIFEST
    ? `${folder} holds no training artifacts (there is no ${MANIFEST} in it): make them with ` +
        'svgd-onnx convert --target onnx.'
    : `${folder} has no ${name}: ${AGAIN}.`;
}
