/** The pages that `svgd-onnx inspect --html` writes, in a browser; graph.py makes them. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const MADE = `${ROOT}build/web/`;
const [MOST_MILLISECONDS, MOST_BYTES] = [3000, 5e6];

before(() => execFileSync(`${ROOT}.venv/bin/python`, [`${ROOT}examples/web/test/graph.py`]));

/** Opens a page from the disk, works with it, and sees that it asked for nothing and complained of nothing. */
async function withGraph(name, work) {
  const browser = await chromium.launch({ executablePath: EXECUTABLE });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    const url = pathToFileURL(`${MADE}graph_${name}.html`).href;
    const faults = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('dialog', (dialog) => faults.push(dialog.message()));
    page.on('request', (request) => request.url() === url || faults.push(request.url()));
    const start = performance.now();
    await page.goto(url);
    await page.waitForSelector('html[data-ready]');
    await work(page, performance.now() - start);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
  }
}

const count = (page, selector) => page.locator(selector).count();
const named = (page, name) => page.locator(`#picture .box[aria-label="${name}"]`);

for (const name of ['gpt2', 'resnet50']) {
  test(`${name} opens soon, and all of its layers too`, async () => {
    assert.ok((await stat(`${MADE}graph_${name}.html`)).size < MOST_BYTES);
    await withGraph(name, async (page, milliseconds) => {
      assert.ok(milliseconds < MOST_MILLISECONDS, `${milliseconds} ms`);
      const closed = await count(page, '#picture .box');
      const start = performance.now();
      await page.click('#open');
      assert.ok(performance.now() - start < MOST_MILLISECONDS);
      assert.ok((await count(page, '#picture .box')) > 2 * closed);
      await page.click('#close');
      assert.equal(await count(page, '#picture .box.open'), 0);
    });
  });
}

test('a search leads to a node, which says what T does there', async () => {
  await withGraph('gpt2', async (page) => {
    await page.fill('#search', 'h.3.attn.c_attn.weight/virtual');
    await page.click('#panel .entry');
    await page.waitForSelector('#picture .chosen.kind-T');
    const text = await page.textContent('#panel');
    assert.match(text, /T transformer\.h\.3\.attn\.c_attn\.weight/);
    assert.match(text, /r: \d+, a number for each element/);
  });
});

test('a layer is found by its name, and Enter leads to the first that is found', async () => {
  await withGraph('resnet50', async (page) => {
    await page.fill('#search', 'LAYER3.2');
    await page.press('#search', 'Enter');
    assert.equal(await page.getAttribute('#picture .chosen', 'aria-label'), '2');
    assert.equal(await page.textContent('#panel h2'), '2');
  });
});

test('all of the graph fits on the screen', async () => {
  await withGraph('gpt2', async (page) => {
    const height = () => page.evaluate(() => layer.getBoundingClientRect().height / canvas.getBoundingClientRect().height);
    assert.ok((await height()) > 1);
    await page.click('#fit');
    assert.ok((await height()) <= 1);
  });
});

test('before T there is none, and with T all that was open is open again', async () => {
  await withGraph('hostile', async (page) => {
    const [t, open] = [await count(page, '.kind-T'), await count(page, '.box.open')];
    assert.ok(t > 0);
    await page.check('[name=stage][value="2"]');
    assert.equal(await count(page, '.kind-T'), 0);
    await page.check('[name=stage][value="1"]');
    assert.deepEqual([await count(page, '.kind-T'), await count(page, '.box.open')], [t, open]);
  });
});

test('boxes open by a click and by a key', async () => {
  await withGraph('resnet50', async (page) => {
    await page.click('#close');
    const layer = named(page, 'layer1');
    await layer.click();
    assert.equal(await layer.getAttribute('aria-expanded'), 'true');
    await page.keyboard.press('Enter');
    assert.equal(await layer.getAttribute('aria-expanded'), 'false');
  });
});

test('names that are markup are text wherever they are shown', async () => {
  await withGraph('hostile', async (page) => {
    await page.click('#open');
    for (const word of ['script', 'img', 'bold']) {
      await page.fill('#search', word);
      await page.click('#panel .entry:enabled');
    }
    assert.match(await page.textContent('#panel'), /<b>bold<\/b>/);
    for (const tag of ['b', 'img', 'iframe', 'link', 'a']) assert.equal(await count(page, `body ${tag}:not(.decision b)`), 0);
    assert.equal(await count(page, 'script'), 2);
  });
});
