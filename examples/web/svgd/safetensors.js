/** Files of float32 tensors: the length of a header, the header as JSON, the data. */

import { bytesOf, concatenate } from './bytes.js';

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
