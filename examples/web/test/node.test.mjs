import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import * as ort from 'onnxruntime-node';
import { score } from '../data/score.js';
import { Trainer, readSafetensors, writeSafetensors } from '../svgd.js';
import { train } from '../train.js';
import { ARTIFACTS, digits, json, output, own, rowsOf } from './files.mjs';

const SETTINGS = { epochs: 5, batchSize: 32, seed: 0, learningRate: () => 0.3 };
const load = () => Trainer.load(ort, ARTIFACTS);

async function lossesOf(trainer, settings = SETTINGS) {
  const examples = await digits('train', trainer.manifest);
  const losses = [];
  for await (const { loss } of train(trainer, examples, rowsOf(examples), settings)) losses.push(loss);
  return losses;
}

test('training in Node', async () => {
  const trainer = await load();
  const losses = await lossesOf(trainer);
  await writeFile(output('node_losses.json'), JSON.stringify(losses));
  assert.equal(trainer.steps, losses.length);
  assert.ok(losses.at(-1) < losses[0] / 4, `the loss went from ${losses[0]} to ${losses.at(-1)}`);

  const examples = await digits('test', trainer.manifest);
  const rows = rowsOf(examples);
  const { loss, accuracy } = await score(trainer, examples, rows);
  assert.ok(accuracy >= 0.95, `test accuracy ${accuracy}`);

  // The exported model is the one that was trained.
  const model = await ort.InferenceSession.create(await trainer.exportModel());
  const batch = examples.take(rows);
  const { data: images, dims } = batch[trainer.manifest.inputs[0].name];
  const outputs = await model.run({ [model.inputNames[0]]: new ort.Tensor('float32', images, dims) });
  const { outputs: expected } = await trainer.evaluate(batch);
  assert.deepEqual(outputs[trainer.manifest.prediction].data, expected[trainer.manifest.prediction].data);

  // A checkpoint goes on as if nothing had been.
  const other = await load();
  await other.loadCheckpoint(await trainer.saveCheckpoint());
  assert.equal(other.steps, trainer.steps);
  assert.deepEqual(other.progress, { ...trainer.progress, seed: '0', batch_size: 32 });
  assert.deepEqual(await score(other, examples, rows), { loss, accuracy });
  const more = { ...SETTINGS, epochs: 6 };
  assert.deepEqual(await lossesOf(other, more), await lossesOf(trainer, more));
  await trainer.release();
  await other.release();
});

test('what goes wrong is said, and changes nothing', async () => {
  const trainer = await load();
  const batch = (await digits('train', trainer.manifest)).take([0, 1, 2]);
  const before = await trainer.saveCheckpoint();
  const { [trainer.manifest.inputs[0].name]: _, ...withoutImages } = batch;
  await assert.rejects(trainer.step(batch, NaN), /The learning rate is NaN/);
  await assert.rejects(trainer.step(withoutImages, 0.1), /The batch has no/);
  await assert.rejects(trainer.loadCheckpoint(before.subarray(0, before.length - 4)), /damaged/);
  const [[name, { shape, data: values }]] = readSafetensors(before).tensors;
  await assert.rejects(
    trainer.loadCheckpoint(writeSafetensors([{ name, shape, data: values }], {})),
    /another model/,
  );
  const infinite = Object.fromEntries(
    Object.entries(batch).map(([name, { data, dims }]) => [
      name,
      { data: data instanceof Float32Array ? data.map(() => NaN) : data, dims },
    ]),
  );
  await assert.rejects(trainer.step(infinite, 0.1), /lower the learning rate/);
  assert.deepEqual(await trainer.saveCheckpoint(), before);
  await trainer.release();
});

test('a federated round', async () => {
  const [server, client] = [await load(), await load()];
  const batch = (await digits('train', client.manifest)).take([0, 1, 2]);
  const sent = await server.getParameters();
  const trained = server.manifest.parameters.filter((each) => each.trainable || each.statistic);
  assert.deepEqual(
    sent.map(({ name, shape }) => [name, shape]),
    trained.map(({ name, shape }) => [name, shape]),
  );
  const learned = (await client.getParameters({ statistics: false })).map(({ name }) => name);
  assert.deepEqual(
    learned,
    trained.filter((each) => !each.statistic).map(({ name }) => name),
  );

  // What was taken is what is trained and evaluated; what stays, as r, is the client's own.
  await client.step(batch, 0.1);
  const kept = readSafetensors(await client.saveCheckpoint()).tensors;
  await client.setParameters(sent);
  assert.deepEqual(await client.getParameters(), sent);
  const now = readSafetensors(await client.saveCheckpoint()).tensors;
  const own = [...kept.keys()].filter((name) => name.startsWith('svgd.r.'));
  assert.ok(own.length > 0);
  own.forEach((name) => assert.deepEqual(now.get(name), kept.get(name)));
  assert.equal((await client.evaluate(batch)).loss, (await server.evaluate(batch)).loss);

  // The average of two clients, as the numbers alone.
  await client.step(batch, 0.1);
  const ours = await client.getParameters();
  const mean = ours.map(({ data: values }, index) => values.map((x, i) => (x + sent[index].data[i]) / 2));
  await server.setParameters(mean);
  assert.deepEqual(
    (await server.getParameters()).map(({ data: values }) => values),
    mean,
  );

  for (const wrong of [mean.slice(1), mean.toReversed(), mean.map((values) => values.fill(NaN))])
    await assert.rejects(client.setParameters(wrong), /another model, or they are not finite/);
  assert.deepEqual(await client.getParameters(), ours);
  await server.release();
  await client.release();
});

test('calls may overlap', async () => {
  const [together, alone] = [await load(), await load()];
  const batch = (await digits('train', together.manifest)).take([0, 1, 2]);
  const calls = await Promise.all([
    together.step(batch, 0.1),
    together.evaluate(batch),
    together.step(batch, 0.1),
  ]);
  const losses = [
    await alone.step(batch, 0.1),
    (await alone.evaluate(batch)).loss,
    await alone.step(batch, 0.1),
  ];
  assert.deepEqual([calls[0], calls[1].loss, calls[2]], losses);
});

test('a path, a URL of a file and a function are the same', async () => {
  const read = (name) => readFile(join(ARTIFACTS, name));
  for (const source of [ARTIFACTS, pathToFileURL(ARTIFACTS), pathToFileURL(ARTIFACTS).href, read]) {
    const trainer = await Trainer.load(ort, source);
    assert.equal(trainer.manifest.target, 'onnx');
    await trainer.release();
  }
});

test('wrong folders are refused in a sentence', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'svgd-'));
  context.after(() => rm(folder, { recursive: true }));
  const changed = async (name, changes) => {
    const path = join(folder, name);
    await cp(ARTIFACTS, path, { recursive: true });
    await writeFile(
      join(path, 'svgd.json'),
      JSON.stringify({ ...(await json(join(path, 'svgd.json'))), ...changes }),
    );
    return path;
  };
  const damaged = await changed('damaged', {});
  await writeFile(join(damaged, 'training_step.onnx'), 'x');
  const wrong = [
    [join(folder, 'nowhere'), "nowhere' holds no training artifacts"],
    [folder, 'holds no training artifacts'],
    [join(ARTIFACTS, 'svgd.json'), 'holds no training artifacts'],
    [await changed('target', { target: 'ort-training' }), 'are of the target ort-training'],
    [await changed('format', { format: 5 }), 'has format 5, and this reads up to 4'],
    [damaged, 'training_step.onnx is not the file that was made with svgd.json'],
  ];
  for (const [path, sentence] of wrong)
    await assert.rejects(
      Trainer.load(ort, path),
      ({ message }) => message.includes(sentence) || assert.fail(message),
    );
});

test('integers, several inputs, several losses and open axes', async () => {
  const expected = await json(own('any_losses.json'));
  const trainer = await Trainer.load(ort, own('any'));
  const batch = Object.fromEntries(
    Object.entries(await json(own('any_batch.json'))).map(([name, { dtype, data, dims }]) => [
      name,
      { data: dtype === 'int64' ? BigInt64Array.from(data, BigInt) : Float32Array.from(data), dims },
    ]),
  );
  const first = await trainer.evaluate(batch);
  assert.deepEqual(
    Object.keys(first.losses).sort(),
    trainer.manifest.losses.map(({ prediction }) => prediction).sort(),
  );
  for (const loss of expected) assert.ok(Math.abs((await trainer.step(batch, 0.1)) / loss - 1) < 1e-4);
  await trainer.release();
});
