/**
 * Training of what `svgd-onnx convert --target onnx` makes, on any onnxruntime for JavaScript
 * (onnxruntime-web, onnxruntime-node).
 *
 * A training step is an ordinary ONNX model: weights and optimizer state go in under their names and come out as
 * `<name>.new`. So training is inference, and what is left to do is to feed back, to read and to write.
 */

import { arraysOf, checkConversion, checkTensors, readArtifacts } from './svgd/artifacts.js';
import { concatenate } from './svgd/bytes.js';
import { readProgress, writeProgress } from './svgd/progress.js';
import { modelOfInitializer } from './svgd/protobuf.js';
import { readSafetensors, writeSafetensors } from './svgd/safetensors.js';

export { arraysOf, lossesOf } from './svgd/artifacts.js';
export { readSafetensors, writeSafetensors };

const LEARNING_RATE = 'svgd.learning_rate';
const UPDATE = 'svgd.update'; // of steps that accumulate gradients: whether this one changes the weights
const NEW = '.new';
const SAYS_STATISTICS = 3; // the first format that surely tells running statistics from frozen weights

/** A training session. Calls may overlap: each waits for the one before it. */
export class Trainer {
  #ort;
  #modelWithoutWeights;
  #training;
  #evaluation;
  #state; // ort.Tensor by name
  #new; // by the name of a tensor of the state, what a step calls it after it
  #rate;
  #update;
  #progress;
  #last = Promise.resolve();

  /** The contents of `svgd.json`. */
  manifest;

  /**
   * @param ort the onnxruntime: a module such as onnxruntime-web or onnxruntime-node
   * @param source of the artifacts: the URL of their folder, its path (in Node), or a function from a file's
   *   name to its bytes
   * @param options of both sessions, such as `{ executionProviders: ['webgpu'] }`
   * @throws if they are none, damaged, of another target than onnx or of a newer format
   */
  static async load(ort, source, options = {}) {
    const trainer = new Trainer();
    const { manifest, step, evaluation, checkpoint, modelWithoutWeights } = await readArtifacts(source);
    trainer.#ort = ort;
    trainer.#modelWithoutWeights = modelWithoutWeights;
    trainer.manifest = manifest;
    const { inputs, outputs, parameters } = manifest;
    const own = new Set([...inputs, ...outputs, ...parameters].map(({ name }) => name));
    trainer.#rate = beside(LEARNING_RATE, own);
    trainer.#update = beside(UPDATE, own);
    trainer.#setState(checkpoint);
    // One after the other: onnxruntime-web starts up with the first.
    const names = [...trainer.#state.keys()];
    const taken = new Set([...own, ...names, ...arraysOf(manifest).map(({ name }) => name)]);
    [trainer.#rate, trainer.#update].forEach((name) => taken.add(name));
    trainer.#new = new Map(names.map((name) => [name, beside(name + NEW, taken)]));
    trainer.#training = await ort.InferenceSession.create(step, {
      ...options,
      preferredOutputLocation: outputLocations(trainer.#new.values(), options),
    });
    trainer.#evaluation = await ort.InferenceSession.create(evaluation, options);
    return trainer;
  }

  /** Steps made so far, those before the checkpoint included. */
  get steps() {
    return this.#progress.step;
  }

  /** What the checkpoint says of the run: `step`, `seed` (a text of digits), `batch_size`, `origin`, `classes`. */
  get progress() {
    return structuredClone(this.#progress);
  }

  /** Changes what checkpoints say of the run, so that another program goes on as this one would. */
  describe(fields) {
    this.#progress = { ...this.#progress, ...fields };
  }

  /**
   * One step.
   *
   * @param batch for each model input and each label, by name, a typed array, an ort.Tensor or, where more than
   *   one axis is open, `{ data, dims }`
   * @returns the loss of the batch before the update
   * @throws if the loss or a gradient is NaN or infinite (the loss is NaN then); everything is as before
   */
  step(batch, learningRate) {
    return this.#next(async () => {
      if (!(learningRate >= 0))
        throw new Error(`The learning rate is ${learningRate}, but must be 0 or more.`);
      const { Tensor } = this.#ort;
      const taken = this.steps + 1 - (this.#progress.skipped ?? 0);
      const update = taken % (this.manifest.accumulation_steps ?? 1) === 0;
      const results = await this.#run(this.#training, batch, {
        [this.#rate]: new Tensor('float32', [learningRate], []),
        [this.#update]: new Tensor('bool', [update], []),
      });
      const [loss] = results[this.#training.outputNames[0]].data;
      const updates = [...this.#new].flatMap(([name, after]) =>
        results[after] ? [[name, results[after]]] : [],
      );
      if (!Number.isFinite(loss)) {
        updates.forEach(([, tensor]) => tensor.dispose());
        throw new Error(
          `The loss or a gradient became ${loss} at step ${this.steps + 1}: lower the learning rate.`,
        );
      }
      const kept = new Set(updates.map(([, tensor]) => tensor));
      Object.values(results).forEach((tensor) => kept.has(tensor) || tensor.dispose()); // norms of gradients
      for (const [name, tensor] of updates) {
        this.#state.get(name).dispose();
        this.#state.set(name, tensor);
      }
      this.describe({ step: this.steps + 1 });
      return loss;
    });
  }

  /**
   * The loss of a batch and the model's outputs, both as in inference.
   *
   * @returns { loss, outputs, losses }: outputs as ort.Tensor by name; of several losses each by its
   *   prediction, without its weight
   */
  evaluate(batch) {
    return this.#next(async () => {
      const results = await this.#run(this.#evaluation, batch);
      const [loss, ...names] = this.#evaluation.outputNames;
      const own = this.manifest.outputs.length; // each of several losses stands behind them
      const outputs = Object.fromEntries(names.slice(0, own).map((name) => [name, results[name]]));
      const several = names
        .slice(own)
        .map((name, i) => [this.manifest.losses[i].prediction, results[name].data[0]]);
      return { loss: results[loss].data[0], outputs, losses: Object.fromEntries(several) };
    });
  }

  /** The trained model, as the bytes of an ONNX file; of averages of its weights where there are some. */
  exportModel() {
    return this.#next(async () => {
      const { parameters, states = [], lora } = this.manifest;
      const other = parameters.find(({ stored_as }) => (stored_as ?? 'float32') !== 'float32');
      if (other) throw new Error(`'${other.name}' is to be ${other.stored_as}: ${WITH_PYTHON}.`);
      if (lora?.adapters.some(({ merged }) => merged === 'always'))
        throw new Error(`The adapters are to be added to the weights: ${WITH_PYTHON}.`);
      const model = await this.#modelWithoutWeights();
      const averages = new Map(
        states.filter(({ state }) => state === 'average').map(({ name, parameter }) => [parameter, name]),
      );
      const values = await this.#values(parameters.map(({ name }) => averages.get(name) ?? name));
      const initializers = values.map((value, index) => ({ ...value, name: parameters[index].name }));
      // Protocol buffers merge when they are concatenated.
      return concatenate([model, ...initializers.map(modelOfInitializer)]);
    });
  }

  /** All that training goes on from, as the bytes of a safetensors file. */
  saveCheckpoint() {
    return this.#next(async () =>
      writeSafetensors(await this.#values([...this.#state.keys()]), writeProgress(this.#progress)),
    );
  }

  /**
   * Goes on from a checkpoint of the same artifacts.
   *
   * @throws if it is damaged or of another model; everything is as before then
   */
  loadCheckpoint(bytes) {
    return this.#next(async () => this.#setState(bytes));
  }

  /**
   * What a federated server averages: trained parameters, and running statistics unless they are to stay.
   *
   * @returns for each its name, its shape and a copy of its numbers, in the order of the manifest
   */
  getParameters({ statistics = true } = {}) {
    return this.#next(async () => {
      const values = await this.#values(this.#exchanged(statistics));
      return values.map(({ name, shape, data }) => ({ name, shape: [...shape], data: data.slice() }));
    });
  }

  /**
   * Goes on from what a server sent; r, and what the optimizer keeps, stay as they are.
   *
   * @param parameters as `getParameters` gives them, or the numbers alone, in that order
   * @throws if they are of another model, or not finite; everything is as before then
   */
  setParameters(parameters, { statistics = true } = {}) {
    return this.#next(async () => {
      const names = this.#exchanged(statistics);
      const given = parameters.map((each) => each.data ?? each);
      const fits = (data, name) => data.length === this.#state.get(name).size && data.every(Number.isFinite);
      if (given.length !== names.length || !names.every((name, index) => fits(given[index], name)))
        throw new Error('These are parameters of another model, or they are not finite.');
      const anchors = (this.manifest.states ?? []).filter(({ state }) => state === 'anchor');
      names.forEach((name, index) => {
        const drawn = anchors.filter(({ parameter }) => parameter === name);
        for (const each of [name, ...drawn.map((anchor) => anchor.name)]) this.#replace(each, given[index]);
      });
    });
  }

  /** Frees the sessions and all tensors. */
  release() {
    return this.#next(async () => {
      this.#state.forEach((tensor) => tensor.dispose());
      await this.#training.release();
      await this.#evaluation.release();
    });
  }

  // No tensor is disposed of while another call reads it, and WebGPU runs one session at a time.
  #next(work) {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  async #run(session, batch, others = {}) {
    const feeds = {};
    for (const name of session.inputNames) {
      feeds[name] = others[name] ?? this.#state.get(name) ?? this.#example(name, batch[name]);
    }
    try {
      return await session.run(feeds);
    } catch (error) {
      const reason = error.message.split('Status Message: ').at(-1).split('\n')[0];
      throw new Error(
        `onnxruntime cannot run the model on this batch (${reason}): see whether the sizes and indices in the ` +
          'data are ones that the model can take.',
      );
    }
  }

  #example(name, values) {
    const { Tensor } = this.#ort;
    if (values === undefined) throw new Error(`The batch has no '${name}'.`);
    if (values instanceof Tensor) return values;
    const { dtype, shape } = arraysOf(this.manifest).find((tensor) => tensor.name === name);
    if (values.dims) return new Tensor(dtype, values.data, values.dims);
    const free = shape.filter((size) => typeof size === 'string').length;
    if (free > 1) throw new Error(`'${name}' has several axes of free size: pass it as { data, dims }.`);
    const known = shape.reduce((product, size) => (typeof size === 'string' ? product : product * size), 1);
    const dims = shape.map((size) => (typeof size === 'string' ? values.length / known : size));
    return new Tensor(dtype, values, dims);
  }

  #exchanged(statistics) {
    if (this.manifest.format < SAYS_STATISTICS)
      throw new Error('svgd.json does not say what is a running statistic: convert the model again.');
    if ((this.manifest.states ?? []).some(({ state }) => state === 'average'))
      throw new Error('The artifacts keep moving averages of parameters: convert without --ema.');
    return this.manifest.parameters
      .filter(({ trainable, statistic }) => trainable || (statistics && statistic))
      .map(({ name }) => name);
  }

  #replace(name, values) {
    const before = this.#state.get(name);
    this.#state.set(name, new this.#ort.Tensor('float32', Float32Array.from(values), before.dims));
    before.dispose();
  }

  #setState(checkpoint) {
    const { tensors, metadata } = readSafetensors(checkpoint);
    const progress = readProgress(metadata);
    checkTensors(this.manifest, tensors);
    for (const name of this.#state?.keys() ?? []) {
      if (!tensors.has(name))
        throw new Error(`This is a checkpoint of another model: '${name}' is not in it.`);
    }
    checkConversion(this.manifest, progress);
    this.#state?.forEach((tensor) => tensor.dispose());
    this.#progress = progress;
    this.#state = new Map(
      [...tensors].map(([name, { shape, data }]) => [name, new this.#ort.Tensor('float32', data, shape)]),
    );
  }

  #values(names) {
    return Promise.all(
      names.map(async (name) => {
        const tensor = this.#state.get(name);
        // `true` frees the copy on the device: the next step takes the one that is here now.
        return { name, shape: tensor.dims, data: await tensor.getData(true) };
      }),
    );
  }
}

const WITH_PYTHON = 'save the checkpoint, and use svgd-onnx export';

/** A name of a step beside those of the model's own tensors, which keep theirs: the first that is free. */
function beside(name, own) {
  return own.has(name) ? beside(`${name}~`, own) : name;
}

/** On WebGPU the state stays on the device from step to step; only the loss comes back. */
function outputLocations(names, { executionProviders = [] }) {
  const gpu = executionProviders.some((provider) => (provider.name ?? provider) === 'webgpu');
  return Object.fromEntries([...names].map((name) => [name, gpu ? 'gpu-buffer' : 'cpu']));
}
