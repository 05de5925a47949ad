/** As much of protocol buffers as a model of initializers takes. */

import { bytesOf, concatenate } from './bytes.js';

/** A ModelProto that holds one initializer and nothing else; the numbers are those of onnx.proto. */
export function modelOfInitializer({ name, shape, data }) {
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
