/** The page: what is given, settings, the course of training, files. What trains is in a worker, `studio.js`. */

import * as Comlink from '../node_modules/comlink/dist/esm/comlink.min.mjs';
import { chosen, download, dropped } from './given.js';
import { Pad } from './pad.js';
import { Plot } from './plots.js';
import { askOf, answersOf, showMistakes, showTensors } from './views.js';

const element = Object.fromEntries([...document.querySelectorAll('[id]')].map((found) => [found.id, found]));
const worker = new Worker(new URL('../worker.js', import.meta.url), { type: 'module' });
const studio = Comlink.wrap(worker);
const losses = [];
const scores = { epochs: [], training: [], validation: [] };
let [model, data] = [undefined, undefined]; // what is open, as the worker described it
let isExample = false;
let loaded = false; // the model, and data for it
let running = false;
let stopped = false; // amid a run, which may go on

globalThis.losses = losses; // for the console, and the test

// Words

const say = (text, isFault = false) => {
  element.status.textContent = text;
  element.status.classList.toggle('fault', isFault);
};

/** Runs a handler; what goes wrong is said in the page. */
const guarded = (handler) => async (event) => {
  try {
    await handler(event);
  } catch (error) {
    setRunning(false);
    say(error.message, true);
  }
};
worker.addEventListener('error', (event) =>
  say(`The worker has ended (${event.message}): load this page again.`, true),
);

// What is given

/** Takes what was chosen or dropped: artifacts, data or a checkpoint, whatever it is. */
async function take(given) {
  if (running) throw new Error('Stop training first.');
  if (!given.length) throw new Error('There is no file in it.');
  say('Reading…');
  const found = await studio.open(given);
  if (found.kind === 'checkpoint') return await goOnFrom(found.bytes, found.name);
  isExample = false;
  if (found.kind === 'artifacts') {
    model = found;
    element.learningRate.value = FIRST_RATES[model.optimizer] ?? 0.001;
    if (data?.name === EXAMPLE_DATA) data = undefined;
  } else {
    data = found;
    if (model?.kind === 'example') model = undefined;
  }
  await opened();
}

/** Where to begin with a rate, by optimizer; of those that adapt, all others, 0.001. */
const FIRST_RATES = { svgd: 0.1, sgd: 0.1, momentum: 0.01, nesterov: 0.01 };

const EXAMPLE_DATA = "scikit-learn's digits";

async function takeExample() {
  say('Loading…');
  model = await studio.openExample(new URL('public', document.baseURI).href);
  data = model.data;
  isExample = true;
  Object.assign(element.learningRate, { value: 0.3 });
  await opened();
}

/** Shows what is open, and loads the model where there is one. */
async function opened() {
  element.modelName.textContent = model?.name ?? 'none yet';
  element.modelSays.textContent = model ? `${model.optimizer}, ${model.loss}` : '';
  element.dataName.textContent = data?.name ?? 'none yet';
  element.dataSays.textContent = data ? `${data.count.toLocaleString('en')} examples` : '';
  element.padCard.hidden = !isExample;
  element.share.hidden = isExample;
  element.modelCard.hidden = !model || isExample;
  element.mistakesCard.hidden = true;
  if (model) showTensors(element.tensors, model);
  await load();
}

async function load() {
  loaded = false;
  setRunning(false);
  clear();
  element.questions.hidden = true;
  element.device.textContent = '';
  if (!model) return say('The data is open. Give the model now: what svgd-onnx convert --target onnx made.');
  say('Loading…');
  showDevice(await studio.load(element.provider.value));
  if (!data) return say('The model is open. Give data now.');
  askOf(element.questions, await studio.questions(), model);
  if (isExample) await evaluate();
  loaded = true;
  setRunning(false);
  say('Ready.');
}

function showDevice({ provider, text }) {
  element.device.textContent = text;
  const isAutomatic = element.provider.value === 'auto';
  element.provider.options[0].text = isAutomatic ? `Automatic: ${NAMES[provider]}` : 'Automatic';
}

const NAMES = { webgpu: 'WebGPU', wasm: 'WebAssembly' };

// The course of training

async function prepare() {
  const options = {
    ...answersOf(element.questions),
    validation: element.validation.valueAsNumber,
    seed: element.seed.valueAsNumber,
  };
  const told = Comlink.proxy((done) =>
    say(`Reading image ${done.toLocaleString('en')} of ${data.count.toLocaleString('en')}…`),
  );
  const { training, validation, fixedBatch } = await studio.prepare(options, told);
  if (fixedBatch) element.batchSize.value = fixedBatch;
  element.batchSize.max = training;
  return `${training.toLocaleString('en')} examples to train on, ${validation.toLocaleString('en')} to validate`;
}

async function run() {
  setRunning(true);
  const counts = await prepare();
  say(`Training: ${counts}.`);
  const settings = Object.fromEntries(
    ['epochs', 'batchSize', 'seed', 'learningRate'].map((id) => [id, element[id].valueAsNumber]),
  );
  const result = await studio.train(settings, Comlink.proxy(report));
  if (result.device) showDevice(result.device);
  stopped = result.stopped;
  setRunning(false);
  if (result.done)
    return say(`${settings.epochs} epochs are done: raise the number of epochs, or start over.`);
  say(`${stopped ? 'Stopped' : 'Done'}: ${counts}.`);
}

function report({ epoch, losses: some, speed, evaluations }) {
  losses.push(...some);
  element.epoch.textContent = `${epoch} / ${element.epochs.value}`;
  element.loss.textContent = losses.at(-1).toPrecision(3);
  element.speed.textContent = speed < 10 ? speed.toFixed(1) : Math.round(speed);
  drawLosses();
  evaluations.forEach(keepScores);
  if (evaluations.length) showEvaluation(evaluations.at(-1));
}

async function evaluate() {
  await prepare();
  showEvaluation(await studio.evaluate());
}

/** What is shown of an evaluation: the accuracy in percent, or the loss where there is none. */
const scoreOf = (found) => (found?.accuracy === undefined ? found?.loss : 100 * found.accuracy);

function keepScores({ epoch, training, validation }) {
  scores.epochs.push(epoch);
  scores.training.push(scoreOf(training));
  scores.validation.push(scoreOf(validation) ?? null);
}

function showEvaluation({ training, validation, mistakes }) {
  const isAccuracy = training.accuracy !== undefined;
  const text = (found) =>
    found ? (isAccuracy ? `${scoreOf(found).toFixed(2)} %` : scoreOf(found).toPrecision(4)) : '–';
  const name = isAccuracy ? 'accuracy' : 'loss';
  element.trainTitle.textContent = `Training ${name}`;
  element.validationTitle.textContent = `Validation ${name}`;
  element.scoreTitle.textContent = isAccuracy ? 'Accuracy' : 'Loss';
  element.trainScore.textContent = text(training);
  element.validationScore.textContent = text(validation);
  scorePlot.set(Object.values(scores), { scale: isAccuracy ? 'percent' : 'log' });
  element.mistakesCard.hidden = !mistakes;
  if (mistakes) showMistakes(element, mistakes);
  if (isExample) pad.read();
}

function clear() {
  losses.length = 0;
  stopped = false;
  Object.values(scores).forEach((values) => (values.length = 0));
  for (const id of ['epoch', 'loss', 'speed', 'trainScore', 'validationScore']) element[id].textContent = '–';
  drawLosses();
  scorePlot.set(Object.values(scores));
}

function setRunning(value) {
  running = value;
  element.train.textContent = value ? 'Stop' : stopped ? 'Go on' : 'Train';
  for (const id of ['train', 'saveModel', 'saveCheckpoint']) element[id].disabled = !loaded;
  for (const id of ['restart', 'loadCheckpoint']) element[id].disabled = value || !loaded;
  for (const id of ['provider', 'batchSize', 'epochs', 'seed', 'validation', 'example', ...GIVEN])
    element[id].disabled = value;
  for (const each of element.questions.elements) each.disabled = value;
}

const GIVEN = ['artifactsZip', 'artifactsFolder', 'dataFile', 'dataFolder'];

const lossPlot = new Plot(element.lossPlot, {
  x: 'step',
  scale: 'log',
  least: 100,
  series: [
    { color: '--faint', width: 1, points: { show: false } },
    { color: '--train', points: { show: false } },
  ],
});
const scorePlot = new Plot(element.scorePlot, {
  x: 'epoch',
  scale: 'percent',
  least: 10,
  series: [{ color: '--train' }, { color: '--test' }],
});

function drawLosses() {
  let mean;
  const smooth = losses.map((loss) => (mean = mean === undefined ? loss : 0.9 * mean + 0.1 * loss));
  lossPlot.set([losses.map((_, step) => step + 1), losses, smooth], { scale: 'log' });
}

const pad = new Pad(
  element,
  async (pixels) => {
    if (!loaded) return undefined;
    // The evaluation model wants a label for its loss, which is not looked at.
    const batch = {
      [model.inputs[0].name]: Float32Array.from(pixels),
      [model.labels[0].name]: BigInt64Array.of(0n),
    };
    return [...(await studio.predict(batch)).data];
  },
  guarded,
);

// Files

async function goOnFrom(bytes, name) {
  if (!model || !data) throw new Error('Give the model and data first, and then the checkpoint.');
  await prepare();
  await studio.loadCheckpoint(bytes);
  clear();
  const { step, seed, batch_size: size } = await studio.progress;
  if (size > 0)
    (Object.assign(element.batchSize, { value: size }), Object.assign(element.seed, { value: seed }));
  await evaluate();
  say(`Going on from ${name}, after ${step.toLocaleString('en')} steps.`);
}

const on = (target, event, handler) => target.addEventListener(event, guarded(handler));

for (const id of [...GIVEN, 'loadCheckpoint']) {
  on(element[id], 'change', async ({ target }) => {
    const given = chosen(target);
    target.value = '';
    if (given.length) await take(given);
  });
}
on(document, 'dragover', (event) => {
  event.preventDefault();
  document.body.classList.add('dropping');
});
on(document, 'dragleave', (event) => !event.relatedTarget && document.body.classList.remove('dropping'));
on(document, 'drop', async (event) => {
  event.preventDefault();
  document.body.classList.remove('dropping');
  for (const given of await dropped(event.dataTransfer)) await take(given);
});
on(element.example, 'click', takeExample);
on(element.saveModel, 'click', async () => download(await studio.exportModel(), 'trained.onnx'));
on(element.saveCheckpoint, 'click', async () =>
  download(await studio.saveCheckpoint(), 'checkpoint.safetensors'),
);
on(element.questions, 'submit', (event) => event.preventDefault());
on(
  element.learningRate,
  'change',
  () => running && studio.setLearningRate(element.learningRate.valueAsNumber),
);
on(element.settings, 'submit', async (event) => {
  event.preventDefault();
  if (!running) return await run();
  element.train.disabled = true; // until the step in progress has ended
  await studio.stop();
});
on(element.restart, 'click', load);
on(element.provider, 'change', load);

await guarded(takeExample)();
