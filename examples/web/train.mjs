#!/usr/bin/env node
/**
 * Trains in Node what the page trains in the browser: `node train.mjs [ARTIFACTS] [--data PATH] [--output trained.onnx]`.
 *
 * ARTIFACTS is a folder that `svgd-onnx convert --target onnx` made; the data an .npz file or a folder of .npy files, an
 * array for each input and label, by their names. Without them it is the example's, which prepare.py makes.
 */

import { openAsBlob } from 'node:fs';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { Examples } from './data/examples.js';
import { filesOf } from './data/files.js';
import { DATA } from './data/kinds.js';
import { score } from './data/score.js';
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

async function examplesOf(path, manifest) {
  const found = await stat(path).catch(() => {
    throw new Error(`There is no file '${path}'.`);
  });
  const paths = found.isDirectory() ? (await readdir(path)).map((name) => join(path, name)) : [path];
  const given = await Promise.all(
    paths.map(async (each) => ({
      path: each.slice(each.lastIndexOf('/') + 1),
      blob: await openAsBlob(each),
    })),
  );
  const { columns } = await DATA.arrays(await filesOf(given));
  return new Examples(columns, manifest, `'${path}'`);
}

const rowsOf = (examples) => Uint32Array.from({ length: examples.length }, (_, row) => row);

async function run() {
  const { values: options, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  const [artifacts = join(PUBLIC, 'artifacts')] = positionals;
  const isExample = !positionals.length;
  const trainer = await Trainer.load(ort, artifacts);
  const examples = await examplesOf(options.data, trainer.manifest);
  const path = options.validation ?? (isExample ? join(PUBLIC, 'test') : undefined);
  const validation = path && (await examplesOf(path, trainer.manifest));
  const settings = {
    epochs: Number(options.epochs),
    batchSize: Number(options['batch-size']),
    seed: BigInt(options.seed),
    learningRate: () => Number(options['learning-rate']),
  };

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

  if (options.output) await writeFile(options.output, await trainer.exportModel());
  if (options.checkpoint) await writeFile(options.checkpoint, await trainer.saveCheckpoint());
  if (options.curve) await writeFile(options.curve, JSON.stringify(losses));
}

try {
  await run();
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
}
