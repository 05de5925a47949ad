/** One's own model and data in the page: Python's numbers, nothing that leaves, nothing that harms. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as ort from 'onnxruntime-node';
import { json, output, own } from './files.mjs';
import { assertClose, lossesOf, ready, save, says, text, withPage } from './page.mjs';

const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
const SETTINGS = { '#batchSize': 16, '#seed': 3, '#validation': 0.2, '#learningRate': 0.05 };

async function give(page, artifacts, data) {
  await page.setInputFiles('#artifactsZip', own(artifacts));
  await says(page, 'Give data now');
  await page.setInputFiles('#dataFile', own(data));
  await says(page, 'Ready');
  for (const [field, value] of Object.entries(SETTINGS)) await page.fill(field, String(value));
}

async function run(page, epochs) {
  await page.fill('#epochs', String(epochs));
  await page.click('#train');
  await page.waitForFunction(
    () =>
      document.querySelector('#status').matches('.fault') ||
      /^Done/.test(document.querySelector('#status').textContent),
  );
  assert.match(await text(page, 'status'), /^Done/);
  await ready(page);
}

test('a foreign network and images by class in a zip file', async () => {
  await withPage({}, async (page, { requests }) => {
    await give(page, 'cnn.zip', 'photos.zip');
    const before = requests.length;
    await run(page, 4);
    const apart = assertClose(await lossesOf(page), await json(own('cnn.json')), 1e-3);
    console.log(`images: losses differ from Python's by at most ${apart.toExponential(1)} of them`);
    await save(page, '#saveModel', 'own/trained_cnn.onnx');
    await save(page, '#saveCheckpoint', 'own/trained_cnn.safetensors');
    assert.deepEqual(requests.slice(before), [], 'nothing is asked of the server once all is loaded');
    const session = await ort.InferenceSession.create(output('own/trained_cnn.onnx'));
    assert.deepEqual(session.outputNames, ['logits']);
    // Names are shown, and never become markup.
    assert.match(await text(page, 'questions'), /<img src=x onerror=hacked=1>/);
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
    await page.screenshot({ path: output('own_images.png'), fullPage: true });
  });
});

test('a regression from a table, dark and narrow', async () => {
  const settings = { colorScheme: 'dark', viewport: { width: 390, height: 844 } };
  await withPage(settings, async (page) => {
    await give(page, 'regressor.zip', 'table.csv');
    assert.equal(await page.inputValue('[name=target]'), 'price');
    await page.fill('[name=X]', 'f*');
    await run(page, 5);
    const apart = assertClose(await lossesOf(page), await json(own('regressor.json')), 1e-3);
    console.log(`table: losses differ from Python's by at most ${apart.toExponential(1)} of them`);
    assert.match(await text(page, 'validationTitle'), /loss/);
    assert.ok(
      await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
      'nothing sticks out',
    );
    await page.screenshot({ path: output('own_table_dark_narrow.png'), fullPage: true });
  });
});

test('where WebGPU lacks an operator, training goes on on WebAssembly', async (context) => {
  await withPage({ args: SOFTWARE_GPU }, async (page, { faults }) => {
    // Software counts as a card here.
    const [worker] = page.workers();
    const has = await worker.evaluate(async () => {
      if (!(await navigator.gpu?.requestAdapter())) return false;
      Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });
      return true;
    });
    if (!has) return context.skip('this Chromium has no WebGPU');
    await give(page, 'cnn.zip', 'photos.zip'); // its step asks MaxPool for places
    assert.match(await text(page, 'device'), /on WebGPU$/);
    await run(page, 4);
    assertClose(await lossesOf(page), await json(own('cnn.json')), 1e-3);
    const told = faults.splice(0); // onnxruntime logs it
    assert.ok(
      told.every((line) => /MaxPool/.test(line)),
      String(told),
    );
    assert.match(await text(page, 'device'), /on WebAssembly.*, since WebGPU lacks an operator|on WebGPU$/);
  });
});

test('folders: integers, two inputs, two losses, two open axes', async () => {
  await withPage({}, async (page) => {
    await page.setInputFiles('#artifactsFolder', own('any'));
    await says(page, 'Give data now');
    await page.setInputFiles('#dataFolder', own('any_data'));
    await says(page, 'Ready');
    const fields = { batchSize: 6, validation: 0, learningRate: 0.1 };
    for (const [id, value] of Object.entries(fields)) await page.fill(`#${id}`, String(value));
    await run(page, 5);
    assertClose(await lossesOf(page), await json(own('any_losses.json')), 1e-4);
    assert.match(await text(page, 'tensors'), /svgd\.learning_ratefloat32batch × 3/);
  });
});

test('files that are dropped, and a checkpoint that goes on', async () => {
  await withPage({}, async (page) => {
    const files = await Promise.all(
      ['cnn.zip', 'photos.zip'].map(async (name) => [name, (await readFile(own(name))).toString('base64')]),
    );
    const dropped = await page.evaluateHandle((given) => {
      const transfer = new DataTransfer();
      for (const [name, content] of given)
        transfer.items.add(new File([Uint8Array.from(atob(content), (each) => each.charCodeAt(0))], name));
      return transfer;
    }, files);
    await page.dispatchEvent('body', 'drop', { dataTransfer: dropped });
    await page.waitForFunction(() => document.querySelector('#dataName').textContent === "'photos.zip'");
    await says(page, 'Ready');
    for (const [field, value] of Object.entries(SETTINGS)) await page.fill(field, String(value));
    await run(page, 2);
    await save(page, '#saveCheckpoint', 'own/half.safetensors');
    await page.click('#restart');
    await says(page, 'Ready');
    await page.setInputFiles('#loadCheckpoint', output('own/half.safetensors'));
    await says(page, 'Going on from');
    await run(page, 4);
    assertClose(await lossesOf(page), (await json(own('cnn.json'))).slice(-10), 1e-3);
    // Another model's is refused, and nothing has changed.
    await page.setInputFiles('#loadCheckpoint', own('any/checkpoint.safetensors'));
    await says(page, 'This is a checkpoint of another model');
  });
});

test('divergence is said and stops, and the page stays alive', async () => {
  await withPage({}, async (page) => {
    await give(page, 'regressor.zip', 'table.csv');
    await page.fill('#learningRate', '1e30');
    await page.fill('#epochs', '100000');
    await page.click('#train');
    await says(page, 'lower the learning rate');
    await ready(page);
    await page.fill('#learningRate', '0.001');
    await page.click('#restart');
    await says(page, 'Ready');
    await page.click('#train');
    await page.waitForFunction(() => globalThis.losses.length > 20);
    // Timers of the page run while the worker trains, and figures move.
    const { length } = await lossesOf(page);
    await page.evaluate(async () => {
      for (let count = 0; count < 20; count++) await new Promise((resolve) => setTimeout(resolve, 10));
    });
    await page.waitForFunction((before) => globalThis.losses.length > before, length);
    assert.equal(await text(page, 'train'), 'Stop');
    await page.click('#train');
    await says(page, 'Stopped');
  });
});

test('a hostile zip file does nothing but a sentence', async () => {
  await withPage({}, async (page) => {
    const cases = {
      up: 'leads out of it',
      twice: 'twice',
      bomb: 'holds 3 GiB',
      bomb_that_lies: 'cannot be unpacked',
      markup: '<img src=x onerror=hacked=1>',
      other_model: 'SHA-256',
      newer: 'has format 99',
      cut: 'is no zip file',
    };
    for (const [name, sentence] of Object.entries(cases)) {
      await page.setInputFiles('#dataFile', own(`hostile/${name}.zip`));
      await says(page, sentence);
      assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
    }
    await page.setInputFiles('#artifactsZip', own('cnn.zip'));
    await says(page, 'Give data now');
    await page.fill('#batchSize', '1');
    await page.fill('#validation', '0');
    const images = {
      not_an_image: "The image 'a/1.png' in 'not_an_image.zip' cannot be read",
      huge_image: "The image 'a/1.png' in 'huge_image.zip' has 100000 × 100000 pixels",
    };
    for (const [name, sentence] of Object.entries(images)) {
      await page.setInputFiles('#dataFile', own(`hostile/${name}.zip`));
      await says(page, 'Ready');
      await page.click('#train');
      await says(page, sentence);
    }
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
  });
});

test('neither the page nor its worker reaches another origin', async () => {
  await withPage({}, async (page, { faults }) => {
    const reach = async (url) => {
      try {
        await fetch(url, { mode: 'no-cors' });
        return 'reached';
      } catch {
        return 'refused';
      }
    };
    const [worker] = page.workers();
    for (const where of [page, worker])
      assert.equal(await where.evaluate(reach, 'http://elsewhere.example/'), 'refused');
    await page.waitForTimeout(100);
    const policy = faults.splice(0).filter((fault) => /Content Security Policy/.test(fault));
    assert.ok(policy.length >= 2, String(policy)); // the browser tells of both
  });
});
