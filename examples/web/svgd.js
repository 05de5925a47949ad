/**
 * Trains what `svgd-onnx convert --target onnx` makes, with a stock onnxruntime.
 *
 * A training step is an ordinary ONNX model: weights and optimizer state go in under their names and
 * come out as `<name>.new`. So training is inference, and what is left to do is to feed back, to read and
 * to write. Runs wherever onnxruntime-web, onnxruntime-node or onnxruntime-react-native does.
 *
 *     import * as ort from 'onnxruntime-web';
 *     const trainer = await Trainer.load(ort, 'artifacts/');
 *     const loss = await trainer.step({ image: Float32Array, labels: BigInt64Array }, 0.1);
 *     const onnx = await trainer.exportModel();
 */

const LOSS = 'svgd.loss';
const LEARNING_RATE = 'svgd.learning_rate';
const UPDATE = 'svgd.update'; // of steps that accumulate gradients: whether this one changes the weights
const NEW = '.new';
const FORMAT = 3; // of svgd.json, the newest that is known
const SAYS_STATISTICS = 3; // the first format that surely tells running statistics from frozen weights
const PROGRESS = 'svgd.progress'; // of a checkpoint's metadata: steps made, seed and batch size, as JSON
const STEP = /("step": *)\d+/;

/** A training session. Calls may overlap: each waits for the one before it. */
export class Trainer {
  #ort;
  #read;
  #training;
  #evaluation;
  #state; // ort.Tensor by name
  #progress; // as it is in the checkpoint: a seed of 64 bits is no number of JavaScript's
  #last = Promise.resolve();

  /** The contents of `svgd.json`. */
  manifest;

  /**
   * @param ort the onnxruntime: a module such as onnxruntime-web or onnxruntime-node
   * @param source URL of the folder of artifacts, or a function from a file's name to its bytes
   * @param options of both sessions, such as `{ executionProviders: ['webgpu'] }`
   */
  static async load(ort, source, options = {}) {
    const trainer = new Trainer();
    trainer.#ort = ort;
    trainer.#read = typeof source === 'function' ? source : (name) => download(source, name);
    const [manifest, step, evaluation, checkpoint] = await Promise.all(
      ['svgd.json', 'training_step.onnx', 'eval_model.onnx', 'checkpoint.safetensors'].map(trainer.#read),
    );
    trainer.manifest = JSON.parse(new TextDecoder().decode(manifest));
    if (trainer.manifest.format > FORMAT) throw new Error('svgd.json is of a newer svgd-onnx: update this.');
    checkNames(trainer.manifest);
    trainer.#setState(checkpoint);
    // One after the other: onnxruntime-web starts up with the first.
    trainer.#training = await ort.InferenceSession.create(step, {
      ...options,
      preferredOutputLocation: outputLocations(trainer.#state.keys(), options),
    });
    trainer.#evaluation = await ort.InferenceSession.create(evaluation, options);
    return trainer;
  }

  /** Steps made so far, those before the checkpoint included. */
  get steps() {
    return JSON.parse(this.#progress).step;
  }

  /**
   * One step.
   *
   * @param batch for each model input and the label, by name, a typed array or an ort.Tensor
   * @returns the loss of the batch before the update
   * @throws if the loss or a gradient is NaN or infinite (the loss is NaN then); everything is as before
   */
  step(batch, learningRate) {
    return this.#next(async () => {
      if (!(learningRate >= 0))
        throw new Error(`The learning rate is ${learningRate}, but must be 0 or more.`);
      const { Tensor } = this.#ort;
      const taken = this.steps + 1 - (JSON.parse(this.#progress).skipped ?? 0);
      const update = taken % (this.manifest.accumulation_steps ?? 1) === 0;
      const { [LOSS]: loss, ...updates } = await this.#run(this.#training, batch, {
        [LEARNING_RATE]: new Tensor('float32', [learningRate], []),
        [UPDATE]: new Tensor('bool', [update], []),
      });
      const value = loss.data[0];
      if (!Number.isFinite(value)) {
        Object.values(updates).forEach((tensor) => tensor.dispose());
        throw new Error(
          `The loss or a gradient became ${value} at step ${this.steps + 1}: lower the learning rate.`,
        );
      }
      for (const [output, tensor] of Object.entries(updates)) {
        const name = output.slice(0, -NEW.length);
        if (!output.endsWith(NEW)) {
          tensor.dispose(); // norms of gradients
          continue;
        }
        this.#state.get(name).dispose();
        this.#state.set(name, tensor);
      }
      this.#progress = this.#progress.replace(STEP, (_, key) => key + (this.steps + 1));
      return value;
    });
  }

  /** The loss of a batch and, by name, the model's outputs as ort.Tensor, both as in inference. */
  evaluate(batch) {
    return this.#next(async () => {
      const { [LOSS]: loss, ...outputs } = await this.#run(this.#evaluation, batch);
      return { loss: loss.data[0], outputs };
    });
  }

  /** The trained model, as the bytes of an ONNX file; of averages of its weights where there are some. */
  exportModel() {
    return this.#next(async () => {
      const names = this.manifest.parameters.map(({ name }) => name);
      const other = this.manifest.parameters.find(({ stored_as }) => (stored_as ?? 'float32') !== 'float32');
      if (other) throw new Error(`'${other.name}' is to be ${other.stored_as}: export with svgd-onnx export.`);
      const model = await this.#read('model_without_weights.onnx');
      const averages = new Map(
        (this.manifest.states ?? [])
          .filter(({ state }) => state === 'average')
          .map(({ name, parameter }) => [parameter, name]),
      );
      const values = await this.#values(names.map((name) => averages.get(name) ?? name));
      const parameters = values.map((value, index) => ({ ...value, name: names[index] }));
      // Protocol buffers merge when they are concatenated.
      return concatenate([model, ...parameters.map(modelOfInitializer)]);
    });
  }

  /** All that training goes on from, as the bytes of a safetensors file. */
  saveCheckpoint() {
    return this.#next(async () =>
      writeSafetensors(await this.#values([...this.#state.keys()]), {
        [PROGRESS]: this.#progress,
      }),
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

  #run(session, batch, others = {}) {
    const feeds = {};
    for (const name of session.inputNames) {
      feeds[name] = others[name] ?? this.#state.get(name) ?? this.#example(name, batch[name]);
    }
    return session.run(feeds);
  }

  #example(name, values) {
    if (values === undefined) throw new Error(`The batch has no '${name}'.`);
    if (values instanceof this.#ort.Tensor) return values;
    const { inputs, label, losses = [] } = this.manifest;
    const { dtype, shape } = [...inputs, label, ...losses.map((loss) => loss.label)].find(
      (tensor) => tensor?.name === name,
    );
    const free = shape.filter((size) => typeof size === 'string').length;
    if (free > 1) throw new Error(`'${name}' has several axes of free size: pass it as an ort.Tensor.`);
    const known = shape.reduce((product, size) => (typeof size === 'string' ? product : product * size), 1);
    const dims = shape.map((size) => (typeof size === 'string' ? values.length / known : size));
    return new this.#ort.Tensor(dtype, values, dims);
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
    for (const [name, { dims }] of this.#state ?? []) {
      if (String(tensors.get(name)?.shape) !== String(dims)) {
        throw new Error(`This is a checkpoint of another model: '${name}' is missing or has another shape.`);
      }
    }
    this.#state?.forEach((tensor) => tensor.dispose());
    this.#progress = metadata[PROGRESS] ?? '{"step": 0, "seed": 0, "batch_size": 0}';
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

/** The tensors of a safetensors file, float32 all of them, by name, and its metadata. */
export function readSafetensors(bytes) {
  const damaged = new Error('This is no safetensors file of float32 tensors, or it is damaged.');
  try {
    // Slices of Node's Buffer would be no copies.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    const start =
      8 + Number(new DataView(plain.buffer, plain.byteOffset, plain.length).getBigUint64(0, true));
    const { __metadata__: metadata = {}, ...entries } = JSON.parse(
      new TextDecoder().decode(plain.subarray(8, start)),
    );
    const tensors = new Map();
    for (const [
      name,
      {
        dtype,
        shape,
        data_offsets: [begin, end],
      },
    ] of Object.entries(entries)) {
      const data = new Float32Array(plain.slice(start + begin, start + end).buffer);
      if (dtype !== 'F32' || data.length !== shape.reduce((product, size) => product * size, 1))
        throw damaged;
      tensors.set(name, { shape, data });
    }
    return { tensors, metadata };
  } catch {
    throw damaged;
  }
}

/** Refuses a model whose own tensors are called as those of a step, which then have other names. */
function checkNames({ inputs, outputs, parameters }) {
  const own = [...inputs, ...outputs, ...parameters].map(({ name }) => name);
  const taken = own.find((name) => [LOSS, LEARNING_RATE, UPDATE].includes(name) || name.endsWith(NEW));
  if (taken !== undefined)
    throw new Error(`The model has a tensor '${taken}', as a training step has: train it with Python.`);
}

/** The bytes of a safetensors file of float32 tensors, each with its name, shape and data. */
export function writeSafetensors(tensors, metadata) {
  const entries = { __metadata__: metadata };
  let end = 0;
  for (const { name, shape, data } of tensors) {
    entries[name] = { dtype: 'F32', shape, data_offsets: [end, (end += data.byteLength)] };
  }
  const json = new TextEncoder().encode(JSON.stringify(entries));
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(32); // spaces, so that data is aligned
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return concatenate([header, ...tensors.map(({ data }) => bytesOf(data))]);
}

/** A ModelProto that holds one initializer and nothing else; the numbers are those of onnx.proto. */
function modelOfInitializer({ name, shape, data }) {
  const FLOAT = 1;
  const initializer = [
    ...shape.map((size) => integer(1, size)),
    integer(2, FLOAT),
    message(8, new TextEncoder().encode(name)),
    message(9, bytesOf(data)),
  ];
  const graph = message(5, ...initializer);
  return message(7, graph);
}

/** A field of a protocol buffer that has a length: a string, bytes or a message of fields. */
function message(number, ...parts) {
  const content = concatenate(parts);
  return concatenate([Uint8Array.from([...varint(8 * number + 2), ...varint(content.length)]), content]);
}

/** A field of a protocol buffer that is an integer. */
function integer(number, value) {
  return Uint8Array.from([...varint(8 * number), ...varint(value)]);
}

function varint(value) {
  return value < 128 ? [value] : [128 + (value % 128), ...varint(Math.floor(value / 128))];
}

function bytesOf(data) {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function concatenate(parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}

/** On WebGPU the state stays on the device from step to step; only the loss comes back. */
function outputLocations(names, { executionProviders = [] }) {
  const gpu = executionProviders.some((provider) => (provider.name ?? provider) === 'webgpu');
  return Object.fromEntries([...names].map((name) => [name + NEW, gpu ? 'gpu-buffer' : 'cpu']));
}

async function download(folder, name) {
  const url = `${String(folder).replace(/\/$/, '')}/${name}`;
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be loaded: ${response.status} ${response.statusText}.`);
  return new Uint8Array(await response.arrayBuffer());
}
