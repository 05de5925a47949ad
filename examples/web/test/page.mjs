/** The page in a browser of its own, of which nothing may be asked but of the page's own origin. */

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { chromium } from 'playwright-core';
import { serve } from '../server.mjs';
import { output } from './files.mjs';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const TIMEOUT = 60_000;
// Whom Chromium asks by itself, on an empty page too, for updates, the time and what fields of forms are called. The
// page's own requests, to these too, are in `faults`.
const ITS_OWN = /^\S+ (http:\/\/)?([\w-]+\.)*(google|googleapis|gvt1)\.com[:/]/;

/** A proxy that counts who comes, and answers nobody: what is not for localhost goes there. */
async function watchpost() {
  const met = [];
  const server = createServer((socket) => {
    socket.once('data', (data) => met.push(String(data).split('\r\n')[0]));
    socket.on('error', () => {});
    setTimeout(() => socket.destroy(), 100);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { met, server: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/**
 * Opens the page, does some work with it, and closes it.
 *
 * @param settings of the browser's page, such as `{ colorScheme: 'dark' }`, and `args` of the browser
 * @param work gets the page, and lists that grow: requests that reach the page's own server, and faults
 */
export async function withPage({ args = [], ...settings }, work) {
  const [server, proxy] = await Promise.all([serve(0), watchpost()]);
  const url = `http://localhost:${server.address().port}/`;
  const own = [];
  server.on('request', ({ url: path }) => own.push(path));
  const browser = await chromium.launch({
    executablePath: EXECUTABLE,
    args,
    proxy: { server: proxy.server, bypass: 'localhost' },
  });
  try {
    const page = await browser.newPage({
      viewport: { width: 1280, height: 960 },
      deviceScaleFactor: 1.5,
      ...settings,
    });
    page.setDefaultTimeout(TIMEOUT);
    const faults = [];
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
    page.on('request', (request) => {
      if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(url)) faults.push(request.url());
    });
    await page.goto(url);
    await ready(page);
    await work(page, { requests: own, faults });
    assert.deepEqual(faults, []);
    assert.deepEqual(
      proxy.met.filter((line) => !ITS_OWN.test(line)),
      [],
    );
  } finally {
    await browser.close();
    server.close();
    proxy.close();
  }
}

export const ready = (page) =>
  page.waitForFunction(() => document.querySelector('#train:enabled')?.textContent === 'Train', null, {
    timeout: TIMEOUT,
  });
export const text = (page, id) => page.textContent(`#${id}`);
export const lossesOf = (page) => page.evaluate(() => globalThis.losses);
export const says = (page, words) =>
  page.waitForFunction((wanted) => document.querySelector('#status').textContent.includes(wanted), words);

/** Trains to the end of an epoch. */
export async function train(page, epochs) {
  await page.fill('#epochs', String(epochs));
  await page.click('#train');
  await says(page, 'Done');
  await ready(page);
}

export async function save(page, button, name) {
  const [download] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  await download.saveAs(output(name));
}

/** Asserts that losses are those of another, each within a share of it. */
export function assertClose(losses, expected, share) {
  assert.equal(losses.length, expected.length);
  losses.forEach((loss, step) =>
    assert.ok(Math.abs(loss / expected[step] - 1) < share, `step ${step}: ${loss}, not ${expected[step]}`),
  );
  return Math.max(...losses.map((loss, step) => Math.abs(loss / expected[step] - 1)));
}
