/** One's own model and data in the page: Python's numbers, nothing that leaves, nothing that harms. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as ort from 'onnxruntime-node';
import { json, output, own } from './files.mjs';
import { assertClose, lossesOf, ready, save, says, text, withPage } from './page.mjs';

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
  await page.waitForFunction(() => /^Done|^[^RT].*\.$/.test(document.querySelector('#status').textContent));
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
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing sticks out');
    await page.screenshot({ path: output('own_table_dark_narrow.png'), fullPage: true });
  });
});

test('divergence is said and stops, and the page stays alive', async () => {
  await withPage({}, async (page) => {
    await give(page, 'regressor.zip', 'table.csv');
    await page.fill('#learningRate', '1e30');
    await page.fill('#epochs', '1000');
    await page.click('#train');
    await says(page, 'lower the learning rate');
    await ready(page);
    await page.fill('#learningRate', '0.001');
    await page.click('#restart');
    await says(page, 'Ready');
    await page.click('#train');
    await page.waitForFunction(() => globalThis.losses.length > 20);
    // Timers of the page run while the worker trains.
    const ticks = await page.evaluate(async () => {
      let count = 0;
      const end = performance.now() + 300;
      while (performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        count++;
      }
      return count;
    });
    assert.ok(ticks > 20, `${ticks} ticks`);
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
    await page.setInputFiles('#dataFile', own('hostile/not_an_image.zip'));
    await says(page, 'Ready');
    await page.fill('#batchSize', '1');
    await page.fill('#validation', '0');
    await page.click('#train');
    await says(page, "The image 'a/1.png' in 'not_an_image.zip' cannot be read");
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
