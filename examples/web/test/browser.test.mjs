import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import * as ort from 'onnxruntime-node';
import { chromium } from 'playwright-core';
import { Digits } from '../digits.js';
import { serve } from '../server.mjs';
import { artifact, data, output } from './files.mjs';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
const TIMEOUT = 60_000;
let server;

before(async () => (server = await serve(0)));
after(() => server.close());

/** Opens the page in a browser of its own, checks that it needs nobody else, and closes it. */
async function withPage(args, work) {
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 960 }, deviceScaleFactor: 1.5 });
    page.setDefaultTimeout(TIMEOUT);
    const url = `http://localhost:${server.address().port}/`;
    const faults = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on(
      'request',
      (request) =>
        /^(blob|data):/.test(request.url()) || request.url().startsWith(url) || faults.push(request.url()),
    );
    await page.goto(url);
    await ready(page);
    await work(page);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
  }
}

const ready = (page) =>
  page.waitForFunction(() => document.querySelector('#train:enabled')?.textContent === 'Train', null, {
    timeout: TIMEOUT,
  });
const text = (page, id) => page.textContent(`#${id}`);
const lossesOf = (page) => page.evaluate(() => globalThis.losses);

async function train(page, epochs) {
  await page.fill('#epochs', String(epochs));
  await page.click('#train');
  await ready(page);
}

async function draw(page, ...points) {
  await page.click('#clear');
  const { x, y, width, height } = await page.locator('#pad').boundingBox();
  const [first, ...rest] = points.map((point) => [x + point[0] * width, y + point[1] * height]);
  await page.mouse.move(...first);
  await page.mouse.down();
  for (const point of rest) await page.mouse.move(...point, { steps: 6 });
  await page.mouse.up();
}

async function save(page, button, name) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  await download.saveAs(output(name));
}

test('training on WebAssembly', async () => {
  await withPage([], async (page) => {
    assert.equal(await page.evaluate(() => crossOriginIsolated), true);
    await train(page, 20);
    const losses = await lossesOf(page);
    const accuracy = await text(page, 'testAccuracy');
    await writeFile(output('browser_losses.json'), JSON.stringify(losses));
    console.log(
      `WebAssembly: ${losses.length} steps, ${await text(page, 'speed')} a second, test accuracy ${accuracy}`,
    );
    const mean = (values) => values.reduce((sum, value) => sum + value) / values.length;
    assert.ok(mean(losses.slice(-44)) < mean(losses.slice(0, 44)) / 10, 'the loss falls');
    assert.ok(parseFloat(accuracy) >= 95, accuracy);

    await draw(
      page,
      [0.5, 0.1],
      [0.3, 0.3],
      [0.28, 0.6],
      [0.4, 0.88],
      [0.6, 0.88],
      [0.72, 0.6],
      [0.7, 0.3],
      [0.5, 0.1],
    );
    await page.waitForFunction(() => document.querySelector('#answer').textContent === '0');
    await page.screenshot({ path: output('page.png'), fullPage: true });

    await save(page, '#saveModel', 'trained.onnx');
    await save(page, '#saveCheckpoint', 'checkpoint.safetensors');
    const model = await ort.InferenceSession.create(output('trained.onnx'));
    const digits = new Digits(data.test, JSON.parse(await artifact('svgd.json')));
    const [images] = Object.values(digits.batch());
    const outputs = await model.run({ [model.inputNames[0]]: new ort.Tensor(images, [digits.size, 64]) });
    const { data: scores } = outputs[model.outputNames[0]];
    const right = digits.labels.filter((label, row) => {
      const ofRow = [...scores.slice(10 * row, 10 * row + 10)];
      return ofRow.indexOf(Math.max(...ofRow)) === label;
    });
    assert.equal(`${((100 * right.length) / digits.size).toFixed(2)} %`, accuracy);

    // Start over, and come back to what was saved.
    await page.click('#restart');
    await ready(page);
    assert.notEqual(await text(page, 'testAccuracy'), accuracy);
    await page.setInputFiles('#loadCheckpoint', output('checkpoint.safetensors'));
    await page.waitForFunction(
      (wanted) => document.querySelector('#testAccuracy').textContent === wanted,
      accuracy,
    );
  });
});

test('pause, and a narrow window', async () => {
  await withPage([], async (page) => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.fill('#epochs', '1000');
    await page.click('#train');
    await page.waitForFunction(() => globalThis.losses.length > 50);
    await page.click('#train');
    await page.waitForFunction(() => document.querySelector('#train:enabled')?.textContent === 'Go on');
    const { length } = await lossesOf(page);
    await page.waitForTimeout(200);
    assert.equal((await lossesOf(page)).length, length);
    await page.click('#train');
    await page.waitForFunction((steps) => globalThis.losses.length > steps, length);
    await page.click('#train');
    assert.ok(
      await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
      'nothing sticks out',
    );
    await page.screenshot({ path: output('narrow.png'), fullPage: true });
  });
});

test('training on WebGPU', async (context) => {
  await withPage(SOFTWARE_GPU, async (page) => {
    await page.fill('#batchSize', '120'); // 11 steps an epoch; software is slow
    await train(page, 1);
    const expected = await lossesOf(page);
    await page.selectOption('#provider', 'webgpu');
    await page.waitForFunction(() => /WebGPU/.test(document.querySelector('#status').textContent));
    if (!/on WebGPU/.test(await text(page, 'status'))) return context.skip('this Chromium has no WebGPU');
    await ready(page);
    await train(page, 1);
    const losses = await lossesOf(page);
    console.log(`WebGPU in software: ${losses.length} steps, ${await text(page, 'speed')} a second`);
    losses.forEach((loss, step) =>
      assert.ok(Math.abs(loss / expected[step] - 1) < 1e-3, `step ${step}: ${loss}, not ${expected[step]}`),
    );
    await save(page, '#saveCheckpoint', 'webgpu.safetensors');
    await train(page, 1); // the state is still there after it was read
  });
});

test('without WebGPU', async () => {
  await withPage(['--disable-features=WebGPU,WebGPUService', '--disable-gpu'], async (page) => {
    if (await page.evaluate(() => document.querySelector('[value=webgpu]').disabled)) return;
    await page.selectOption('#provider', 'webgpu');
    await page.waitForFunction(() =>
      /WebGPU cannot be used here/.test(document.querySelector('#status').textContent),
    );
    assert.equal(await page.inputValue('#provider'), 'wasm');
    console.log(await text(page, 'status'));
    await ready(page);
    await train(page, 1);
  });
});
