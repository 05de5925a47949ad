#!/usr/bin/env node
/**
 * Trains in Node what the page trains in the browser: `node train.mjs [ARTIFACTS] [--data PATH] [--output trained.onnx]`.
 *
 * ARTIFACTS is a folder that `svgd-onnx convert --target onnx` made; the data an .npz file or a folder of .npy files, an
 * array for each input and label, by their names. Without them it is the example's, which prepare.py makes.
 */

import { openAsBlob } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { Examples } from './data/examples.js';
import { filesOf } from './data/files.js';
import { DATA } from './data/kinds.js';
import { score } from './data/score.js';
import { shown } from './data/words.js';
import { checkDestination, writeWhole } from './destination.js';
import { Trainer } from './svgd.js';
import { train } from './train.js';

const PUBLIC = fileURLToPath(new URL('public', import.meta.url));

const OPTIONS = {
  data: { type: 'string', default: join(PUBLIC, 'train') },
  validation: { type: 'string' }, // as data
  epochs: { type: 'string', default: '20' },
  'batch-size': { type: 'string', default: '32' },
  'learning-rate': { type: 'string', default: '0.3' },
  seed: { type: 'string', default: '0' },
  output: { type: 'string' }, // the trained model
  checkpoint: { type: 'string' },
  curve: { type: 'string' }, // the loss of each step, JSON
};

const OUTPUTS = ['output', 'checkpoint', 'curve'];
const CHECKPOINT = 'checkpoint.safetensors'; // of the artifacts, which may be replaced

/** The numbers among the options, all of whose texts they are. */
function settingsOf(options) {
  const whole = (name) => {
    const text = options[name];
    if (/^\d+$/.test(text) && BigInt(text) < 2n ** 64n) return BigInt(text);
    throw new Error(`--${name} is '${shown(text)}', but must be a whole number from 0 to ${2n ** 64n - 1n}.`);
  };
  const text = options['learning-rate'];
  const rate = text.trim() === '' ? NaN : Number(text);
  if (!(rate >= 0 && Number.isFinite(Math.fround(rate))))
    throw new Error(
      `--learning-rate is '${shown(text)}', but must be a number of 0 or more that float32 holds.`,
    );
  return {
    epochs: Number(whole('epochs')),
    batchSize: Number(whole('batch-size')),
    seed: whole('seed'),
    learningRate: () => rate,
  };
}

async function examplesOf(path, manifest) {
  const found = await stat(path).catch(() => {
    throw new Error(`There is no file '${shown(path)}'.`);
  });
  const paths = found.isDirectory() ? (await readdir(path)).map((name) => join(path, name)) : [path];
  const given = [];
  for (const each of paths) {
    const status = await stat(each).catch(() => null);
    if (status?.isDirectory()) continue;
    if (!status?.isFile()) throw new Error(`'${shown(each)}' is no file: give data in files.`);
    given.push({ path: basename(each), blob: await openAsBlob(each) });
  }
  const { columns } = await DATA.arrays(await filesOf(given));
  return new Examples(columns, manifest, `'${path}'`);
}

const rowsOf = (examples) => Uint32Array.from({ length: examples.length }, (_, row) => row);

async function run() {
  const { values: options, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [artifacts = join(PUBLIC, 'artifacts')] = positionals;
  const isExample = !positionals.length;
  const settings = settingsOf(options);
  const path = options.validation ?? (isExample ? join(PUBLIC, 'test') : undefined);
  const read = [artifacts, options.data, ...(path ? [path] : [])];
  for (const name of OUTPUTS.filter((each) => options[each])) {
    const isOwn = name === 'checkpoint' && resolve(options[name]) === resolve(artifacts, CHECKPOINT);
    if (!isOwn) await checkDestination(options[name], read);
  }
  const written = OUTPUTS.flatMap((name) => (options[name] ? [resolve(options[name])] : []));
  if (new Set(written).size < written.length)
    throw new Error('Two options have one name to write to: give each its own.');

  const trainer = await Trainer.load(ort, artifacts);
  const examples = await examplesOf(options.data, trainer.manifest);
  const validation = path && (await examplesOf(path, trainer.manifest));

  if (options.output) await trainer.exportModel(); // what cannot be exported is said now

  const losses = [];
  const start = performance.now();
  for await (const { epoch, loss, endOfEpoch } of train(trainer, examples, rowsOf(examples), settings)) {
    losses.push(loss);
    if (!endOfEpoch) continue;
    const found = validation && (await score(trainer, validation, rowsOf(validation)));
    const share = found?.accuracy === undefined ? '' : `, accuracy ${(100 * found.accuracy).toFixed(2)} %`;
    const said = found ? `, validation loss ${found.loss.toFixed(4)}${share}` : '';
    console.log(`epoch ${epoch + 1}: loss ${loss.toFixed(4)}${said}`);
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(`${losses.length} steps in ${seconds.toFixed(1)} s`);

  if (options.checkpoint) await writeWhole(options.checkpoint, await trainer.saveCheckpoint());
  if (options.output) await writeWhole(options.output, await trainer.exportModel());
  if (options.curve) await writeWhole(options.curve, JSON.stringify(losses));
}

try {
  await run();
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
