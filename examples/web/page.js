/** The page: settings, plots, the pad to draw on, files. What trains is in svgd.js. */

import uPlot from 'uplot';
import { Digits, batchOf, evaluate, predict, train } from './digits.js';
import { Trainer } from './svgd.js';

const element = Object.fromEntries([...document.querySelectorAll('[id]')].map((found) => [found.id, found]));
const losses = [];
const accuracies = { epochs: [], train: [], test: [] };
let data;
let trainer;
let training; // the run of `train` that a pause interrupts
let running = false;

globalThis.losses = losses; // for the console, and the test

// Settings and the course of training

const settings = () => ({
  epochs: element.epochs.valueAsNumber,
  batchSize: element.batchSize.valueAsNumber,
  learningRate: element.learningRate.valueAsNumber,
});

/** Loads the artifacts on the chosen device, or on WebAssembly where that does not work. */
async function load() {
  setRunning(false);
  enable(false);
  data ??= await loadData();
  const provider = element.provider.value;
  say('Loading…');
  try {
    await trainer?.release();
    trainer = undefined;
    const ort = await import(`onnxruntime-web/${provider}`);
    ort.env.wasm.wasmPaths = new URL('node_modules/onnxruntime-web/dist/', document.baseURI).href;
    trainer = await Trainer.load(ort, 'public/artifacts', {
      executionProviders: [provider],
      logSeverityLevel: 3, // errors: onnxruntime warns of each operator that WebGPU leaves to the processor
    });
    say(`onnxruntime-web ${ort.env.versions.web} on ${element.provider.selectedOptions[0].text}.`);
  } catch (error) {
    if (provider !== 'webgpu') throw error;
    element.provider.value = 'wasm';
    await load();
    return say(`WebGPU cannot be used here (${error.message}), so training runs on WebAssembly.`);
  }
  await startOver();
}

async function loadData() {
  const response = await fetch('public/digits.json');
  if (!response.ok)
    throw new Error('There is nothing to train yet: run prepare.py, and load this page again.');
  return await response.json();
}

async function startOver() {
  training = undefined;
  losses.length = 0;
  Object.values(accuracies).forEach((values) => (values.length = 0));
  for (const id of ['epoch', 'loss', 'speed']) element[id].textContent = '–';
  element.train.textContent = 'Train';
  drawLosses();
  await showAccuracy();
  enable(true);
}

async function run() {
  setRunning(true);
  training ??= train(trainer, digitsOf('train'), data.orders, settings);
  const start = { time: performance.now(), steps: losses.length };
  let shown = start.time;
  while (running) {
    const { done, value } = await training.next().catch(stop);
    if (done) {
      training = undefined;
      break;
    }
    losses.push(value.loss);
    if (value.endOfEpoch) await showAccuracy(value.epoch + 1);
    if (performance.now() - shown > 50 || value.endOfEpoch) {
      element.epoch.textContent = `${value.epoch + 1} / ${element.epochs.value}`;
      element.loss.textContent = value.loss.toPrecision(3);
      const seconds = (performance.now() - start.time) / 1000;
      element.speed.textContent = Math.round((losses.length - start.steps) / seconds);
      drawLosses();
      await new Promise((resolve) => setTimeout(resolve)); // lets the browser paint, and the user pause
      shown = performance.now();
    }
  }
  setRunning(false);
}

function stop(error) {
  training = undefined;
  throw error;
}

const digitsOf = (split) => new Digits(data[split], trainer.manifest);

async function showAccuracy(epoch = 0) {
  const [onTrain, onTest] = [
    await evaluate(trainer, digitsOf('train')),
    await evaluate(trainer, digitsOf('test')),
  ];
  element.trainAccuracy.textContent = percent(onTrain.accuracy);
  element.testAccuracy.textContent = percent(onTest.accuracy);
  if (epoch) {
    accuracies.epochs.push(epoch);
    accuracies.train.push(100 * onTrain.accuracy);
    accuracies.test.push(100 * onTest.accuracy);
  }
  accuracyPlot.setData(Object.values(accuracies));
  showMistakes(onTest.mistakes);
  await read();
}

function setRunning(value) {
  running = value;
  element.train.disabled = !trainer;
  element.train.textContent = value ? 'Pause' : training ? 'Go on' : 'Train';
  for (const id of ['provider', 'batchSize', 'restart', 'loadCheckpoint']) element[id].disabled = value;
}

function enable(value) {
  for (const id of ['train', 'restart', 'saveModel', 'saveCheckpoint', 'loadCheckpoint'])
    element[id].disabled = !value;
}

const say = (text) => (element.status.textContent = text);
const percent = (share) => `${(100 * share).toFixed(2)} %`;

/** Runs a handler; what goes wrong is said in the page, and in the console. */
const guarded = (handler) => async (event) => {
  try {
    await handler(event);
  } catch (error) {
    console.error(error);
    setRunning(false);
    say(error.message);
  }
};

// Plots

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

const lines = { stroke: color('--line'), width: 1 };

function plot(target, x, y, series) {
  const axis = { stroke: color('--muted'), grid: lines, ticks: { show: false }, size: 28 };
  const size = () => ({ width: target.clientWidth, height: target.clientHeight });
  const made = new uPlot(
    {
      ...size(),
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 16, 0, 0],
      scales: { x: { time: false, ...x }, y: y.scale },
      axes: [axis, { ...axis, size: 48, ...y.axis }],
      series: [{}, ...series],
    },
    [[], ...series.map(() => [])],
    target,
  );
  new ResizeObserver(() => made.setSize(size())).observe(target);
  return made;
}

const powersOfTen = (_, values) => values.map((value) => (Math.log10(value) % 1 ? null : value));
const decades = (_, lowest, highest) => [
  10 ** Math.floor(Math.log10(lowest ?? 0.001)),
  10 ** Math.ceil(Math.log10(highest ?? 10)),
];
const fromFives = (_, lowest) => [Math.max(0, 5 * Math.ceil((lowest ?? 80) / 5 - 1)), 100];

const lossPlot = plot(
  element.lossPlot,
  { range: (_, first, last) => [1, Math.max(last ?? 0, 100)] },
  {
    scale: { distr: 3, range: decades },
    axis: { grid: { ...lines, filter: powersOfTen }, filter: powersOfTen, values: (_, values) => values },
  },
  [
    { stroke: '#b9c8ec', width: 1, points: { show: false } },
    { stroke: color('--train'), width: 2, points: { show: false } },
  ],
);
const accuracyPlot = plot(
  element.accuracyPlot,
  { range: (_, first, last) => [1, Math.max(last ?? 0, 10)] },
  { scale: { range: fromFives }, axis: { values: (_, values) => values.map((value) => `${value} %`) } },
  [
    { stroke: color('--train'), width: 2 },
    { stroke: color('--test'), width: 2 },
  ],
);

function drawLosses() {
  let mean;
  const smooth = losses.map((loss) => (mean = mean === undefined ? loss : 0.9 * mean + 0.1 * loss));
  lossPlot.setData([losses.map((_, step) => step + 1), losses, smooth]);
}

// Digits

function drawDigit(canvas, pixels) {
  const context = canvas.getContext('2d');
  const image = context.createImageData(8, 8);
  pixels.forEach((pixel, i) =>
    image.data.set([18, 22, 29].map((dark) => dark + (255 - dark) * pixel).concat(255), 4 * i),
  );
  context.putImageData(image, 0, 0);
}

function showMistakes(mistakes) {
  const shown = 12;
  element.mistakeCount.textContent = `${mistakes.length} of ${data.test.labels.length}`;
  element.mistakes.replaceChildren(
    ...mistakes.slice(0, shown).map(({ row, answer, label }) => {
      const figure = document.createElement('figure');
      const canvas = Object.assign(document.createElement('canvas'), { width: 8, height: 8 });
      drawDigit(
        canvas,
        data.test.images[row].map((pixel) => pixel / 16),
      );
      figure.append(canvas, `${label} as ${answer}`);
      return figure;
    }),
  );
}

// The pad

const strokes = [];
const bars = Array.from({ length: 10 }, (_, digit) => {
  const item = document.createElement('li');
  const bar = document.createElement('progress');
  item.append(digit, bar);
  element.probabilities.append(item);
  return bar;
});

/** The drawing as the network knows digits: as high as the image, in the middle, 8x8 blocks of ink. */
function drawnPixels() {
  const size = 32;
  const width = 5.5; // of a stroke; so as much is ink as in scikit-learn's digits, 31 %
  const points = strokes.flat();
  const [left, top] = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis])));
  const [right, bottom] = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
  const scale = (size - width) / Math.max(right - left, bottom - top, 1);
  const context = new OffscreenCanvas(size, size).getContext('2d');
  context.translate(size / 2, size / 2);
  context.scale(scale, scale);
  context.translate(-(left + right) / 2, -(top + bottom) / 2);
  drawStrokes(context, width / scale);
  const ink = context.getImageData(0, 0, size, size).data;
  return Array.from({ length: 64 }, (_, pixel) => {
    const [row, column] = [Math.floor(pixel / 8), pixel % 8];
    let sum = 0;
    for (let y = 4 * row; y < 4 * row + 4; y++) {
      for (let x = 4 * column; x < 4 * column + 4; x++) sum += ink[4 * (size * y + x) + 3];
    }
    return sum / (16 * 255);
  });
}

function drawStrokes(context, width) {
  Object.assign(context, { lineWidth: width, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
  for (const [start, ...rest] of strokes) {
    context.beginPath();
    context.moveTo(...start);
    for (const point of [start, ...rest]) context.lineTo(...point);
    context.stroke();
  }
}

/** Shows what the network takes the drawing for. */
async function read() {
  const context = element.pad.getContext('2d');
  context.clearRect(0, 0, element.pad.width, element.pad.height);
  drawStrokes(context, 20);
  const pixels = strokes.length ? drawnPixels() : new Array(64).fill(0);
  drawDigit(element.seen, pixels);
  if (!trainer) return;
  // The evaluation model wants a label for its loss, which is not looked at.
  const { probabilities, answers } = await predict(trainer, batchOf(trainer.manifest, pixels, [0n]));
  element.answer.textContent = strokes.length ? answers[0] : '–';
  bars.forEach((bar, digit) => {
    bar.value = strokes.length ? probabilities[0][digit] : 0;
    bar.parentElement.classList.toggle('best', strokes.length > 0 && digit === answers[0]);
  });
}

element.pad.addEventListener(
  'pointerdown',
  guarded(async (event) => {
    element.pad.setPointerCapture(event.pointerId);
    strokes.push([[event.offsetX, event.offsetY]]);
    await read();
  }),
);
element.pad.addEventListener(
  'pointermove',
  guarded(async (event) => {
    if (!event.buttons || !strokes.length) return;
    strokes.at(-1).push([event.offsetX, event.offsetY]);
    await read();
  }),
);
element.clear.addEventListener(
  'click',
  guarded(async () => {
    strokes.length = 0;
    await read();
  }),
);

// Files

function download(bytes, name) {
  const link = Object.assign(document.createElement('a'), {
    href: URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' })),
    download: name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

element.saveModel.addEventListener(
  'click',
  guarded(async () => download(await trainer.exportModel(), 'trained.onnx')),
);
element.saveCheckpoint.addEventListener(
  'click',
  guarded(async () => download(await trainer.saveCheckpoint(), 'checkpoint.safetensors')),
);
element.loadCheckpoint.addEventListener(
  'change',
  guarded(async () => {
    const [file] = element.loadCheckpoint.files;
    await trainer.loadCheckpoint(new Uint8Array(await file.arrayBuffer()));
    element.loadCheckpoint.value = '';
    await startOver();
    say(`Going on from ${file.name}, after ${trainer.steps} steps.`);
  }),
);

element.settings.addEventListener(
  'submit',
  guarded(async (event) => {
    event.preventDefault();
    if (!running) return await run();
    running = false;
    element.train.disabled = true; // until the step in progress has ended
  }),
);
element.restart.addEventListener('click', guarded(load));
element.provider.addEventListener('change', guarded(load));

if (!navigator.gpu) {
  const option = element.provider.querySelector('[value=webgpu]');
  option.disabled = true;
  option.text = 'WebGPU (not in this browser)';
}
await guarded(load)();
