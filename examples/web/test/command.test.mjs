import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ARTIFACTS } from './files.mjs';

const PROGRAM = fileURLToPath(new URL('../train.mjs', import.meta.url));
const PUBLIC = fileURLToPath(new URL('../public', import.meta.url));
const run = promisify(execFile);

async function inFolder(work) {
  const folder = await mkdtemp(join(tmpdir(), 'svgd-'));
  try {
    await cp(ARTIFACTS, join(folder, 'artifacts'), { recursive: true });
    await cp(join(PUBLIC, 'train'), join(folder, 'train'), { recursive: true });
    const at = (name) => join(folder, name);
    const train = (...options) =>
      run(process.execPath, [PROGRAM, at('artifacts'), '--data', at('train'), '--epochs', '1', ...options], {
        timeout: 60_000,
      });
    await work({ at, train, folder });
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function refuses(training, sentence) {
  const error = await training.then(
    () => assert.fail('it was done'),
    (failure) => failure,
  );
  assert.equal(error.code, 2, error.stderr);
  assert.match(error.stderr, sentence);
  assert.equal(error.stdout, '', 'it trained');
}

test('a number that is none is refused, and not read in part', () =>
  inFolder(async ({ train }) => {
    await refuses(train('--epochs', '1e3x'), /--epochs is '1e3x', but must be a whole number/);
    await refuses(train('--seed=-1'), /--seed is '-1'/);
    await refuses(train('--batch-size', '1.5'), /--batch-size is '1.5'/);
    await refuses(train('--learning-rate', '1e39'), /that float32 holds/);
    await refuses(train('--learning-rate', ''), /that float32 holds/);
  }));

test('nothing is written over but ordinary files that are not read', () =>
  inFolder(async ({ at, train }) => {
    await mkdir(at('folder'));
    await writeFile(at('other'), 'other');
    await symlink(at('other'), at('link'));
    await run('mkfifo', [at('pipe')]);
    for (const option of ['--output', '--checkpoint', '--curve']) {
      await refuses(train(option, at('folder')), /is no ordinary file/);
      await refuses(train(option, at('link')), /is no ordinary file/);
      await refuses(train(option, at('pipe')), /is no ordinary file/);
      await refuses(train(option, at('nowhere/file')), /in a folder that is there/);
      await refuses(train(option, at('train/labels.npy')), /which is read/);
      await refuses(train(option, at('artifacts/svgd.json')), /which is read/);
    }
    await refuses(train('--output', at('one'), '--curve', at('folder/../one')), /one name/);
    assert.equal(await readFile(at('other'), 'utf8'), 'other');
  }));

test('files are written whole, and the checkpoint may replace that of the artifacts', () =>
  inFolder(async ({ at, train, folder }) => {
    await writeFile(at('curve'), 'of another run');
    await train('--output', at('model'), '--curve', at('curve'), '--checkpoint', at('artifacts/checkpoint.safetensors'));
    const losses = JSON.parse(await readFile(at('curve'), 'utf8'));
    assert.ok(losses.length > 0);
    const { stdout } = await train('--epochs', '2', '--curve', at('more'));
    assert.match(stdout, new RegExp(`^epoch 2.*\n${losses.length} steps`)); // it went on
    assert.deepEqual((await readdir(folder)).sort(), ['artifacts', 'curve', 'model', 'more', 'train']);
  }));

test('data that is no file is refused', () =>
  inFolder(async ({ at, train }) => {
    await rm(at('train/image.npy'));
    await run('mkfifo', [at('train/image.npy')]);
    await refuses(train(), /is no file/);
    await refuses(train('--validation', at('train/image.npy')), /is no file/);
  }));
