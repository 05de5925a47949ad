/** What the page's worker does: opens artifacts and data, and trains. */

import { readNpy } from './data/arrays.js';
import { Examples } from './data/examples.js';
import { filesOf, kindOf } from './data/files.js';
import { grayPicture, layoutOf } from './data/images.js';
import { COLUMNS, DATA, labelsOf, readerOf } from './data/kinds.js';
import { split } from './data/order.js';
import { highest, score } from './data/score.js';
import { guessColumns } from './data/table.js';
import { quoted, shown } from './data/words.js';
import { runtimeFor } from './device.js';
import { lossesOf, readSafetensors, Trainer } from './svgd.js';
import { parseManifest } from './svgd/artifacts.js';
import { readProgress } from './svgd/progress.js';
import { train } from './train.js';

const SHOWN_EVERY = 50; // milliseconds
const TRAINING_SAMPLE = 2000; // of the training examples, on which the model is evaluated

export class Studio {
  #artifacts; // a function from a file's name to its bytes
  #trainer;
  #data; // { kind, title, ... } as it was read
  #training; // { examples, rows }
  #validation;
  #prepared; // the settings by which the two were made
  #device; // { asked, provider }
  #running = false;

  /** Opens whatever is given, { path, blob } each; returns what it is. */
  async open(given) {
    const files = await filesOf(given);
    const kind = kindOf(files);
    const title =
      given.length === 1 ? `'${shown(given[0].path)}'` : `'${shown(given[0].path.split('/')[0])}'`;
    if (kind === 'artifacts')
      return { kind, name: title, ...(await this.#openArtifacts(readerOf(files, title))) };
    if (kind === 'checkpoint') return { kind, name: title, bytes: await files[0].bytes() };
    const data = { kind, title, ...(await DATA[kind](files, title)) };
    this.#data = data;
    this.#prepared = undefined;
    return { kind, name: title, count: data.count };
  }

  /** Opens the example: its artifacts and its data, by their URLs. */
  async openExample(folder) {
    const bytes = async (name) => {
      const response = await fetch(`${folder}/${name}`);
      if (!response.ok)
        throw new Error('There is no example to train yet: run prepare.py, or give your own.');
      return new Uint8Array(await response.arrayBuffer());
    };
    const split = async (name) => {
      const arrays = ['image', 'labels'].map(async (array) => [
        array,
        readNpy(await bytes(`${name}/${array}.npy`), array),
      ]);
      return new Map(await Promise.all(arrays));
    };
    const [columns, test] = await Promise.all(['train', 'test'].map(split));
    test.get('image').picture = (row) => grayPicture(test.get('image'), row, 8, 8);
    const described = await this.#openArtifacts((name) => bytes(`artifacts/${name}`));
    const title = "scikit-learn's digits";
    this.#data = { kind: 'arrays', title, columns, test, count: columns.get('labels').shape[0] };
    this.#prepared = undefined;
    return {
      kind: 'example',
      name: 'A small network',
      ...described,
      data: { name: title, count: this.#data.count },
    };
  }

  async #openArtifacts(read) {
    const manifest = parseManifest(await read('svgd.json')); // what is wrong is said before anything is replaced
    this.#artifacts = read;
    this.#prepared = undefined;
    await this.#trainer?.release();
    this.#trainer = undefined;
    return {
      inputs: manifest.inputs,
      labels: labelsOf(manifest),
      loss: manifest.loss,
      optimizer: manifest.optimizer,
    };
  }

  /** Loads the artifacts on a device, "auto", "webgpu" or "wasm", and says on which they are. */
  async load(asked) {
    const { ort, provider, text } = await runtimeFor(asked);
    await this.#trainer?.release();
    this.#trainer = undefined;
    try {
      this.#trainer = await Trainer.load(ort, this.#artifacts, {
        executionProviders: [provider],
        logSeverityLevel: 3, // errors: onnxruntime warns of each operator that WebGPU leaves to the processor
      });
      this.#device = { asked, provider };
      return { provider, text };
    } catch (error) {
      if (asked !== 'auto' || provider === 'wasm') throw error;
      const found = await this.load('wasm');
      return { ...found, text: `${found.text}, since WebGPU does not run this model (${error.message})` };
    }
  }

  /** What the page asks of the data that was opened, for the model that was. */
  questions() {
    const { kind } = this.#data;
    const { manifest } = this.#trainer;
    const labels = labelsOf(manifest);
    if (kind === 'table') {
      const guess = guessColumns(this.#data, manifest.inputs, labels);
      return { kind, columns: [...guess].map(([name, columns]) => ({ name, text: columns.join(', ') })) };
    }
    if (kind !== 'images') return { kind };
    const { height, width, pixels } = layoutOf(manifest.inputs[0]);
    const size = [height, width].every(Number.isInteger)
      ? `${height} × ${width}`
      : pixels && `${pixels} pixels`;
    return { kind, size, classes: this.#data.classes };
  }

  /** Makes examples of the data: { columns, resize, normalize, validation, seed }. */
  async prepare(options, progress) {
    const wanted = JSON.stringify(options);
    if (wanted === this.#prepared) return this.#summary;
    const data = this.#data;
    const { manifest } = this.#trainer;
    const columns = await COLUMNS[data.kind](data, manifest, options, progress);
    const examples = new Examples(columns, manifest, data.title);
    const all = Uint32Array.from({ length: examples.length }, (_, row) => row);
    let [training, validation] = [all, new Uint32Array()];
    if (data.test) {
      const test = new Examples(data.test, manifest, data.title);
      this.#validation = { examples: test, rows: all.slice(0, test.length) };
    } else {
      if (options.validation > 0)
        ({ training, validation } = split(
          examples.length,
          examples.labels,
          options.validation,
          options.seed,
        ));
      this.#validation = { examples, rows: validation };
    }
    this.#training = { examples, rows: training };
    this.#trainer.describe({ classes: [...examples.classes] });
    this.#prepared = wanted;
    return this.#summary;
  }

  get #summary() {
    const { examples, rows } = this.#training;
    const { classes, fixedBatch } = examples;
    return { training: rows.length, validation: this.#validation.rows.length, classes, fixedBatch };
  }

  /**
   * Trains until the last epoch, or `stop`.
   *
   * @param settings of `train`; the learning rate is a number
   * @param report called some times a second with { epoch, losses, speed, evaluations }: what is new of each step
   *   and, with its `epoch`, of each epoch
   * @returns { stopped, done, device }: whether it may go on, whether there was nothing to do, and where it went
   *   on if the device could not run the model
   */
  async train(settings, report) {
    try {
      return await this.#train(settings, report);
    } catch (error) {
      if (this.#device.provider !== 'webgpu' || !error.message.startsWith('onnxruntime cannot run'))
        throw error;
      if (this.#device.asked !== 'auto')
        throw new Error(`${error.message} Or WebGPU lacks an operator: choose WebAssembly, which has all.`);
      const checkpoint = await this.saveCheckpoint(); // a step that does not end changes nothing
      const { provider, text } = await this.load('wasm');
      await this.loadCheckpoint(checkpoint);
      const device = { provider, text: `${text}, since WebGPU lacks an operator of this model` };
      return { ...(await this.#train(settings, report)), device };
    }
  }

  async #train(settings, report) {
    this.#running = true;
    this.learningRate = settings.learningRate;
    const { examples, rows } = this.#training;
    const learningRate = () => this.learningRate;
    let [epoch, losses, evaluations] = [undefined, [], []];
    let [shownAt, made, stepping] = [performance.now(), 0, 0];
    const send = async () => {
      report({ epoch, losses, speed: (1000 * made) / stepping, evaluations });
      [losses, evaluations] = [[], []];
      await new Promise((resolve) => setTimeout(resolve)); // hears of `stop`
      shownAt = performance.now();
    };
    try {
      let began = performance.now();
      for await (const step of train(this.#trainer, examples, rows, { ...settings, learningRate })) {
        stepping += performance.now() - began;
        losses.push(step.loss);
        made++;
        epoch = step.epoch + 1;
        if (step.endOfEpoch) evaluations.push({ epoch, ...(await this.evaluate()) });
        if (performance.now() - shownAt > SHOWN_EVERY) await send();
        if (!this.#running) break;
        began = performance.now();
      }
    } finally {
      this.#running = false;
      if (losses.length) await send();
    }
    return { stopped: epoch < settings.epochs, done: epoch === undefined };
  }

  stop() {
    this.#running = false;
  }

  setLearningRate(rate) {
    this.learningRate = rate;
  }

  /** How good the model is now, on both parts of the data; and what it gets wrong, where answers are classes. */
  async evaluate() {
    const { examples, rows } = this.#training;
    const every = Math.ceil(rows.length / TRAINING_SAMPLE);
    const training = await score(
      this.#trainer,
      examples,
      whole(
        rows.filter((_, at) => at % every === 0),
        examples,
      ),
    );
    const validation = this.#validation;
    if (!validation.rows.length) return { training };
    const mistakes = this.#mistakes();
    const rest = whole(validation.rows, validation.examples);
    const found = await score(this.#trainer, validation.examples, rest, mistakes?.look);
    return { training, validation: found, mistakes: mistakes?.found };
  }

  #mistakes(most = 12) {
    const { examples } = this.#validation;
    const { labels, classes } = examples;
    const [{ prediction, settings, label, logits_shape: shape }] = lossesOf(this.#trainer.manifest);
    if (!labels || settings.class_axis === null || shape.length !== 2 || label === null) return undefined;
    const found = { count: 0, of: this.#validation.rows.length, shown: [] };
    const named = (number) => classes[number] ?? String(number);
    const look = (rows, outputs) => {
      const { data, dims } = outputs[prediction];
      highest(data, dims, settings.class_axis).forEach((answer, at) => {
        const [row, wanted] = [rows[at], Number(labels[rows[at]])];
        if (answer === wanted) return;
        if (found.count++ < most)
          found.shown.push({ wanted: named(wanted), answer: named(answer), picture: examples.picture(row) });
      });
    };
    return { found, look };
  }

  /** The model's outputs for one batch of its inputs and labels, by name, as in inference. */
  async predict(batch) {
    const { outputs } = await this.#trainer.evaluate(batch);
    const { data, dims } = outputs[this.#trainer.manifest.prediction];
    return { data, dims };
  }

  get progress() {
    return this.#trainer.progress;
  }

  exportModel() {
    return this.#trainer.exportModel();
  }

  saveCheckpoint() {
    return this.#trainer.saveCheckpoint();
  }

  /** Goes on from a checkpoint; one that was trained on other classes is refused. */
  async loadCheckpoint(bytes) {
    const { classes: before = [] } = readProgress(readSafetensors(bytes).metadata);
    const classes = this.#training?.examples.classes ?? [];
    if (before.length && classes.length && String(before) !== String(classes))
      throw new Error(
        `This checkpoint was trained on the classes ${quoted(before)}, and not ${quoted(classes)}.`,
      );
    await this.#trainer.loadCheckpoint(bytes);
  }
}

/** As many rows as whole batches take, where the model fixes them. */
const whole = (rows, { fixedBatch = 1 }) => rows.slice(0, rows.length - (rows.length % fixedBatch));
