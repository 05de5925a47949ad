/** Data as Python reads it, and zip files that mean harm; without a browser. */

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';
import * as ort from 'onnxruntime-node';
import { Examples } from '../data/examples.js';
import { filesOf } from '../data/files.js';
import { permutation } from '../data/random.js';
import { resized } from '../data/resize.js';
import { joined, matching, readTable } from '../data/table.js';
import { Studio } from '../studio.js';
import { Trainer } from '../svgd.js';
import { given, json, own } from './files.mjs';

const numbers = await json(own('numbers.json'));

test("orders are NumPy's", () => {
  for (const [seed, epoch, order] of numbers.orders)
    assert.deepEqual([...permutation(order.length, [seed, epoch])], order);
});

test("pictures in other sizes are Pillow's", () => {
  const picture = { data: Uint8Array.from(numbers.picture), height: 11, width: 7, channels: 3 };
  numbers.sizes.forEach(([height, width], at) => {
    const { data } = resized(picture, height, width);
    assert.equal(data.length, numbers.resized[at].length);
    data.forEach((value, pixel) => assert.ok(Math.abs(value - numbers.resized[at][pixel]) <= 1));
  });
});

test('arrays of any order and width', async () => {
  const { readNpy } = await import('../data/arrays.js');
  const files = await filesOf(await given(own('kinds.npz')));
  for (const file of files) {
    const { shape, data } = readNpy(await file.bytes(), file.path);
    assert.deepEqual(Array.from(data, Number), [...Array(24).keys()], file.path);
    assert.deepEqual(shape, [2, 3, 4]);
  }
});

const TABLE = 'name,a,b\nx,1,2.5\ny,3,inf\nx,,4\n';
const table = (text) => readTable(new TextEncoder().encode(text), 'table.csv');
const INPUT = { name: 'x', dtype: 'float32', shape: ['batch', 2] };

test('columns of a table', () => {
  const of = (names, isLabel = false, text = 'name,a,b\nx,1,2.5\ny,3,7\n') => {
    const read = table(text);
    return joined(
      read,
      matching(read, names, 'x'),
      isLabel ? { name: 'y', dtype: 'int64', shape: ['batch'] } : INPUT,
      isLabel,
    );
  };
  assert.deepEqual([...of('a, b').data], [1, 2.5, 3, 7]);
  assert.deepEqual([...of('?').data], [1, 2.5, 3, 7]);
  assert.deepEqual([of('name', true).classes, ...of('name', true).data], [['x', 'y'], 0, 1]);
  assert.throws(() => of('c'), /'c', which is no column of 'table.csv': there is 'name', 'a', 'b'/);
  assert.throws(() => of('name'), /has texts, which are for labels/);
  assert.throws(() => of('a', false, TABLE), /Column 'a' of 'table.csv' has nothing in row 2/);
  assert.throws(() => table('a,a\n1,2\n'), /several columns 'a'/);
  assert.throws(() => table('a,b\n1\n'), /cannot be read as a table/);
  assert.throws(() => table('a,b\n'), /no example/);
});

test('texts are no numbers for a loss to compare', () => {
  const of = (loss, names, text = 'a,b,t,u\n1,2,no,yes\n3,4,yes,no\n') => {
    const read = table(text);
    const x = { name: 'x', dtype: 'float32', shape: ['batch', 2], batch_axis: 0 };
    const label = { name: 'target', dtype: 'float32', shape: ['batch', names.length], batch_axis: 0 };
    const term = { loss, settings: {}, logits_shape: ['batch', 1], label };
    const columns = new Map([
      ['x', joined(read, ['a', 'b'], x, false)],
      ['target', joined(read, names, label, true)],
    ]);
    return new Examples(columns, { inputs: [x], label, losses: [term], ...term }, 'it');
  };
  assert.throws(() => of('mse', ['t']), /it has texts where the loss mse compares 'target' with numbers, as 'no'/);
  assert.throws(() => of('bce-with-logits', ['t', 'u']), /Column 't' of 'table.csv' has texts, and is one of/);
  assert.throws(() => of('bce-with-logits', ['t'], 'a,b,t\n1,2,yes\n3,4,yes\n'), /'yes' where the loss .* asks yes or no/);
  assert.equal(of('mse', ['b']).length, 2);
  const truth = of('bce-with-logits', ['t', 'u'], 'a,b,t,u\n1,2,true,False\n3,4,TRUE,true\n').take([0, 1]);
  assert.deepEqual([...truth.target.data], [1, 0, 1, 1]);
  assert.deepEqual(of('bce-with-logits', ['t']).classes, ['no', 'yes']);
});

test('what does not fit a model is said', async () => {
  const { manifest } = await Trainer.load(ort, own('cnn'));
  const image = { dtype: 'float32', shape: [2, 1, 8, 8], data: new Float32Array(128) };
  const labels = { dtype: 'int64', shape: [2], data: BigInt64Array.of(0n, 4n) };
  const made = (changes) =>
    new Examples(new Map(Object.entries({ image, labels, ...changes })), manifest, 'it');
  assert.equal(made({}).length, 2);
  const infinite = {
    ...image,
    data: image.data.with?.(70, NaN) ?? image.data.map((_, at) => (at === 70 ? NaN : 0)),
  };
  const cases = [
    [
      { labels: { ...labels, data: BigInt64Array.of(0n, 5n) } },
      "'labels' in it has 5 in row 1, where only 0 to 4",
    ],
    [
      { labels: { ...labels, dtype: 'float32', data: new Float32Array(2) } },
      'is float32, but the model wants int64',
    ],
    [
      { labels: { ...labels, shape: [1], data: BigInt64Array.of(0n) } },
      'differ in length (image: 2, labels: 1)',
    ],
    [
      { image: { ...image, shape: [2, 64] } },
      "'image' in it has shape (2, 64), but the model wants (examples, 1, 8, 8)",
    ],
    [{ image: infinite }, "'image' in it contains NaN or infinity (NaN in row 1)"],
    [{ more: labels }, "'more' in it is no input of the model"],
  ];
  for (const [changes, sentence] of cases)
    assert.throws(
      () => made(changes),
      ({ message }) => message.includes(sentence) || assert.fail(message),
    );
});

const REFUSED = {
  up: "has the path '../svgd.json', which leads out of it",
  inner_up: "has the path 'a/../../svgd.json', which leads out of it",
  absolute: "has the path '/etc/svgd.json', which leads out of it",
  drive: "has the path 'C:/svgd.json', which leads out of it",
  backslash: 'which leads out of it',
  twice: "has 'svgd.json' twice",
  many: 'has more than 100,000 files',
  markup: "There is nothing of a known form ('<img src=x onerror=hacked=1>.exe')",
  direction: "'a\\u{202e}gnp.exe'",
  empty: 'There is no file in it',
  other_model: 'eval_model.onnx is not the file that was made with svgd.json (its SHA-256 is another)',
  incomplete: "'incomplete.zip' has no checkpoint.safetensors: convert the model again",
  newer: 'svgd.json has format 99, and this reads up to 4',
  other_target: 'of the target ort-training, and this trains those of onnx',
  other_json: "svgd.json is none of svgd-onnx's",
  no_json: 'svgd.json is damaged',
  no_zip: 'is no zip file that can be read',
  cut: 'is no zip file that can be read',
  bomb: "holds 3 GiB, and at most 1 is read ('svgd.json' has 3)",
  bomb_that_lies: 'cannot be unpacked',
};
// These are read as what they seem to be, and refused when they are loaded or decoded.
const LATER = new Set(['other_model', 'incomplete']);

test('zip files that mean harm are refused, each in a sentence', async () => {
  const made = (await readdir(own('hostile'))).map((name) => name.replace('.zip', ''));
  assert.deepEqual(made.filter((name) => !name.endsWith('_image')).sort(), Object.keys(REFUSED).sort());
  for (const [name, sentence] of Object.entries(REFUSED)) {
    const studio = new Studio();
    const start = performance.now();
    const work = async () => {
      await studio.open(await given(own(`hostile/${name}.zip`)));
      assert.ok(LATER.has(name), `${name} was opened`);
      await studio.load('wasm');
    };
    await assert.rejects(work(), ({ message }) => {
      assert.ok(message.includes(sentence), `${name}: ${message}`);
      assert.ok(!/[\n\u202e]/.test(message));
      return true;
    });
    assert.ok(performance.now() - start < 30_000, `${name} took ${performance.now() - start} ms`);
  }
});
