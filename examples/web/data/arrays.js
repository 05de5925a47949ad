/** Arrays: { dtype, shape, data }, dtypes by NumPy's names; of `.npy` files, and as what a model takes. */

import { shown } from './words.js';

const TYPES = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
};
const CODES = { b1: 'bool', i: 'int', u: 'uint', f: 'float' };

/** Whether onnxruntime for JavaScript takes such from here. */
export const isKnown = (dtype) => Object.hasOwn(TYPES, dtype);

/** "i" for integers, "f" for floating-point numbers, "b" for bool, as NumPy's kinds but that "u" is "i". */
export const kindOfType = (dtype) => dtype.replace('u', '')[0];

const size = (shape) => shape.reduce((product, each) => product * each, 1);

/** The array of an `.npy` file. */
export function readNpy(bytes, name) {
  const unreadable = (why) => new Error(`'${shown(name)}' is no .npy file of numbers (${why}).`);
  const text = (begin, end) => new TextDecoder('latin1').decode(bytes.subarray(begin, end));
  if (bytes[0] !== 0x93 || text(1, 6) !== 'NUMPY') throw unreadable('it is another kind of file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = bytes[6] === 1 ? 10 : 12;
  const end = start + (bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = text(start, end);
  const [, order, code, width] = /'descr': *'([<>|=])([biuf])(\d+)'/.exec(header) ?? [];
  const [, fortran, sizes] = /'fortran_order': *(True|False), *'shape': *\(([\d, ]*)\)/.exec(header) ?? [];
  if (!code || sizes === undefined)
    throw unreadable(shown(/'descr': *([^,]*)/.exec(header)?.[1] ?? 'damaged'));
  const dtype = code === 'b' ? CODES.b1 : `${CODES[code]}${8 * Number(width)}`;
  const shape = sizes
    .split(',')
    .filter((each) => each.trim())
    .map(Number);
  const content = new Uint8Array(bytes.subarray(end)); // a copy, so that numbers are aligned
  if (content.length !== size(shape) * Number(width)) throw unreadable('it is not as long as it states');
  if (order === '>') swap(content, Number(width));
  if (dtype === 'float16') return inC(shape, fortran, { dtype: 'float32', shape, data: halves(content) });
  if (!isKnown(dtype)) throw unreadable(`it is of ${dtype}`);
  return inC(shape, fortran, { dtype, shape, data: new TYPES[dtype](content.buffer) });
}

function swap(bytes, width) {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
}

/** float16 as float32, which holds each of them. */
function halves(bytes) {
  return Float32Array.from(new Uint16Array(bytes.buffer), (bits) => {
    const [sign, exponent, mantissa] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 31) return mantissa ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + mantissa / 1024) : 2 ** -24 * mantissa);
  });
}

/** An array whose first axis lies closest together, as it lies usually: the last one does. */
function inC(shape, fortran, array) {
  if (fortran !== 'True' || shape.length < 2) return array;
  const data = array.data.slice();
  const strides = shape.map((_, axis) => size(shape.slice(0, axis)));
  for (let to = 0; to < data.length; to++) {
    let [from, rest] = [0, to];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += (rest % shape[axis]) * strides[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    data[to] = array.data[from];
  }
  return { ...array, data };
}

/** Numbers as a model takes them. */
export function converted(data, dtype) {
  const Type = TYPES[dtype];
  if (data instanceof Type) return data;
  const [toBig, fromBig] = [dtype.endsWith('int64'), typeof data[0] === 'bigint'];
  if (toBig === fromBig) return Type.from(data);
  return Type.from(data, toBig ? BigInt : Number);
}

/** Some rows of an array along an axis, as `{ data, dims }`; all of it where the axis is null. */
export function rowsOf({ data, shape, dtype: own }, axis, rows, dtype = own) {
  if (axis === null) return { data: converted(data, dtype), dims: shape };
  const [outer, inner] = [size(shape.slice(0, axis)), size(shape.slice(axis + 1))];
  const taken = new data.constructor(outer * rows.length * inner);
  let at = 0;
  for (let i = 0; i < outer; i++) {
    for (const row of rows) {
      const begin = (i * shape[axis] + row) * inner;
      taken.set(data.subarray(begin, begin + inner), at);
      at += inner;
    }
  }
  return { data: converted(taken, dtype), dims: replaced(shape, axis, rows.length) };
}

const replaced = (shape, axis, length) => shape.map((each, at) => (at === axis ? length : each));
