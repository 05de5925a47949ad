#!/usr/bin/env node
/** Trains in Node what the page trains in the browser: `node train.mjs --epochs 20 --output trained.onnx`. */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as ort from 'onnxruntime-node';
import { Digits, evaluate, train } from './digits.js';
import { Trainer } from './svgd.js';

const { values: options } = parseArgs({
  options: {
    folder: { type: 'string', default: fileURLToPath(new URL('public', import.meta.url)) },
    epochs: { type: 'string', default: '20' },
    'batch-size': { type: 'string', default: '32' },
    'learning-rate': { type: 'string', default: '0.3' },
    output: { type: 'string' }, // the trained model
    checkpoint: { type: 'string' },
    curve: { type: 'string' }, // the loss of each step, JSON
  },
});
const settings = {
  epochs: Number(options.epochs),
  batchSize: Number(options['batch-size']),
  learningRate: Number(options['learning-rate']),
};

const trainer = await Trainer.load(ort, (name) => readFile(join(options.folder, 'artifacts', name)));
const data = JSON.parse(await readFile(join(options.folder, 'digits.json')));
const digits = new Digits(data.train, trainer.manifest);
const test = new Digits(data.test, trainer.manifest);

const losses = [];
const start = performance.now();
for await (const { epoch, loss, endOfEpoch } of train(trainer, digits, data.orders, () => settings)) {
  losses.push(loss);
  if (endOfEpoch) {
    const { accuracy } = await evaluate(trainer, test);
    console.log(
      `epoch ${epoch + 1}: loss ${loss.toFixed(4)}, test accuracy ${(100 * accuracy).toFixed(2)} %`,
    );
  }
}
const seconds = (performance.now() - start) / 1000;
console.log(`${losses.length} steps in ${seconds.toFixed(1)} s`);

if (options.output) await writeFile(options.output, await trainer.exportModel());
if (options.checkpoint) await writeFile(options.checkpoint, await trainer.saveCheckpoint());
if (options.curve) await writeFile(options.curve, JSON.stringify(losses));
