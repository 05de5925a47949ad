/** The page with its example, in Chromium. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import * as ort from 'onnxruntime-node';
import { highest } from '../data/score.js';
import { Trainer } from '../svgd.js';
import { ARTIFACTS, digits, output, rowsOf } from './files.mjs';
import { assertClose, lossesOf, ready, save, says, text, train, withPage } from './page.mjs';

const SOFTWARE_GPU = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

async function draw(page, ...points) {
  await page.click('#clear');
  const { x, y, width, height } = await page.locator('#pad').boundingBox();
  const [first, ...rest] = points.map((point) => [x + point[0] * width, y + point[1] * height]);
  await page.mouse.move(...first);
  await page.mouse.down();
  for (const point of rest) await page.mouse.move(...point, { steps: 6 });
  await page.mouse.up();
}

test('training on WebAssembly', async () => {
  await withPage({}, async (page) => {
    assert.equal(await page.evaluate(() => crossOriginIsolated), true);
    await train(page, 20);
    const losses = await lossesOf(page);
    const accuracy = await text(page, 'validationScore');
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
    const { manifest } = await Trainer.load(ort, ARTIFACTS);
    const examples = await digits('test', manifest);
    const { image, labels } = examples.take(rowsOf(examples));
    const outputs = await model.run({
      [model.inputNames[0]]: new ort.Tensor('float32', image.data, image.dims),
    });
    const { data, dims } = outputs[model.outputNames[0]];
    const right = highest(data, dims, 1).filter((answer, row) => BigInt(answer) === labels.data[row]);
    assert.equal(`${((100 * right.length) / examples.length).toFixed(2)} %`, accuracy);

    // Start over, and come back to what was saved.
    await page.click('#restart');
    await ready(page);
    assert.notEqual(await text(page, 'validationScore'), accuracy);
    await page.setInputFiles('#loadCheckpoint', output('checkpoint.safetensors'));
    await page.waitForFunction(
      (wanted) => document.querySelector('#validationScore').textContent === wanted,
      accuracy,
    );
  });
});

test('pause, and a narrow window', async () => {
  await withPage({}, async (page) => {
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
  await withPage({ args: SOFTWARE_GPU }, async (page) => {
    await page.selectOption('#provider', 'wasm');
    await ready(page);
    await page.fill('#batchSize', '120'); // 11 steps an epoch; software is slow
    await train(page, 1);
    const expected = await lossesOf(page);
    await page.selectOption('#provider', 'webgpu');
    await page.waitForFunction(() =>
      /WebGPU/.test(
        document.querySelector('#device').textContent + document.querySelector('#status').textContent,
      ),
    );
    if (!/on WebGPU/.test(await text(page, 'device'))) return context.skip('this Chromium has no WebGPU');
    await says(page, 'Ready');
    await train(page, 1);
    const losses = await lossesOf(page);
    console.log(`WebGPU in software: ${losses.length} steps, ${await text(page, 'speed')} a second`);
    assertClose(losses, expected, 1e-3);
    await save(page, '#saveCheckpoint', 'webgpu.safetensors');
    await train(page, 2); // the state is still there after it was read
  });
});

test('without WebGPU', async () => {
  await withPage({ args: ['--disable-features=WebGPU,WebGPUService', '--disable-gpu'] }, async (page) => {
    assert.match(await text(page, 'device'), /on WebAssembly \(no WebGPU here\)$/);
    await train(page, 1);
    await page.selectOption('#provider', 'webgpu');
    await says(page, 'WebGPU cannot be used here');
    await page.selectOption('#provider', 'auto');
    await ready(page);
  });
});
