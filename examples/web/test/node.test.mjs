import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as ort from 'onnxruntime-node';
import { Digits, evaluate, train } from '../digits.js';
import { Trainer, readSafetensors, writeSafetensors } from '../svgd.js';
import { artifact, data, output } from './files.mjs';

const SETTINGS = { epochs: 5, batchSize: 32, learningRate: 0.3 };

async function lossesOf(trainer, settings = SETTINGS) {
  const losses = [];
  for await (const { loss } of train(
    trainer,
    new Digits(data.train, trainer.manifest),
    data.orders,
    () => settings,
  )) {
    losses.push(loss);
  }
  return losses;
}

test('training in Node', async () => {
  const trainer = await Trainer.load(ort, artifact);
  const losses = await lossesOf(trainer);
  await writeFile(output('node_losses.json'), JSON.stringify(losses));
  assert.equal(trainer.steps, losses.length);
  assert.ok(losses.at(-1) < losses[0] / 4, `the loss went from ${losses[0]} to ${losses.at(-1)}`);

  const digits = new Digits(data.test, trainer.manifest);
  const { loss, accuracy, mistakes } = await evaluate(trainer, digits);
  assert.ok(accuracy >= 0.95, `test accuracy ${accuracy}`);

  // The exported model is the one that was trained.
  const model = await ort.InferenceSession.create(await trainer.exportModel());
  const { [trainer.manifest.inputs[0].name]: images } = digits.batch();
  const outputs = await model.run({
    [model.inputNames[0]]: new ort.Tensor('float32', images, [digits.size, images.length / digits.size]),
  });
  const { outputs: expected } = await trainer.evaluate(digits.batch());
  assert.deepEqual(outputs[trainer.manifest.prediction].data, expected[trainer.manifest.prediction].data);

  // A checkpoint goes on as if nothing had been.
  const other = await Trainer.load(ort, artifact);
  await other.loadCheckpoint(await trainer.saveCheckpoint());
  assert.equal(other.steps, trainer.steps);
  assert.deepEqual(await evaluate(other, digits), { loss, accuracy, mistakes });
  const once = { ...SETTINGS, epochs: 1 };
  assert.deepEqual(await lossesOf(other, once), await lossesOf(trainer, once));
  await trainer.release();
  await other.release();
});

test('what goes wrong is said, and changes nothing', async () => {
  const trainer = await Trainer.load(ort, artifact);
  const batch = new Digits(data.train, trainer.manifest).batch([0, 1, 2]);
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
    Object.entries(batch).map(([key, array]) => [
      key,
      array instanceof Float32Array ? array.fill(NaN) : array,
    ]),
  );
  await assert.rejects(trainer.step(infinite, 0.1), /lower the learning rate/);
  assert.deepEqual(await trainer.saveCheckpoint(), before);
  await trainer.release();
});

test('a federated round', async () => {
  const [server, client] = [await Trainer.load(ort, artifact), await Trainer.load(ort, artifact)];
  const digits = new Digits(data.train, client.manifest);
  const batch = digits.batch([0, 1, 2]);
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
  const [together, alone] = [await Trainer.load(ort, artifact), await Trainer.load(ort, artifact)];
  const batch = new Digits(data.train, together.manifest).batch([0, 1, 2]);
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
