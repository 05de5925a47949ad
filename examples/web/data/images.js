/** Images in folders by class, decoded by the browser into what an input takes. */

import { isImage, LIMITS, withoutRoot } from './files.js';
import { resized } from './resize.js';
import { byCodePoint, shown } from './words.js';

const MOST_PIXELS = 89_478_485; // of one image, as in Python
const TOLD_EVERY = 100; // milliseconds
const NOT_HERE = /\.(tiff?|pgm|ppm)$/i;
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/** The images of files by class, in Python's order: { images, classes, labels }. */
export function imagesByClass(files, title) {
  const images = withoutRoot(files.filter(isImage)).sort(inOrder);
  const folders = images.map(({ path }) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : ''));
  const beside = images.find((_, at) => !folders[at]);
  if (beside)
    throw new Error(
      `The image '${shown(beside.path)}' in ${title} lies in no folder: put each into one that is its class.`,
    );
  const other = images.find(({ path }) => NOT_HERE.test(path));
  if (other)
    throw new Error(
      `Browsers cannot read '${shown(other.path)}' in ${title}: give PNG, JPEG, WebP, GIF or BMP.`,
    );
  const classes = [...new Set(folders)].sort(byCodePoint);
  const numbers = new Map(classes.map((name, number) => [name, number]));
  const labels = Int32Array.from(folders, (folder) => numbers.get(folder));
  return { images, classes, labels: { dtype: 'int32', shape: [images.length], data: labels, classes } };
}

/** Files of a folder stand before the folders in it; either in the order of names. */
function inOrder(one, other) {
  const [a, b] = [one, other].map(({ path }) => path.split('/'));
  for (let depth = 0; ; depth++) {
    const [last, otherLast] = [depth === a.length - 1, depth === b.length - 1];
    if (last !== otherLast && depth > 0) return last ? -1 : 1;
    const order = byCodePoint(a[depth], b[depth]);
    if (order || last) return order;
  }
}

/** How an input has a picture: the axes of its channels, height and width (of one example), and its channels. */
export function layoutOf({ name, shape, batch_axis: batch }) {
  const sizes = shape.filter((_, axis) => axis !== batch);
  const isChannels = (size) => size === 1 || size === 3;
  if (sizes.length === 3) {
    const [first, last] = [isChannels(sizes[0]), isChannels(sizes[2])];
    const channelsLast = !first && (last || typeof sizes[0] === 'number');
    const channels = channelsLast ? sizes[2] : sizes[0];
    const [height, width] = channelsLast ? sizes : sizes.slice(1);
    if (typeof channels !== 'number' || isChannels(channels))
      return {
        axes: channelsLast ? 'HWC' : 'CHW',
        channels: typeof channels === 'number' ? channels : 3,
        height,
        width,
      };
  }
  if (sizes.length === 2) return { axes: 'CHW', channels: 1, height: sizes[0], width: sizes[1] };
  if (sizes.length === 1) return { axes: 'CHW', channels: 1, pixels: sizes[0] };
  throw new Error(
    `Input '${shown(name)}' of shape (${shape.join(', ')}) takes no images of 1 or 3 channels.`,
  );
}

/**
 * All images in memory, a byte a pixel and channel.
 *
 * @param resize whether images of another size than the input's are brought to it; else they are refused
 * @param progress called with how many are done
 */
export async function decodeAll(images, tensor, { resize, normalize, title }, progress) {
  const layout = layoutOf(tensor);
  const side = Number.isInteger(Math.sqrt(layout.pixels)) ? Math.sqrt(layout.pixels) : undefined;
  let { height = side, width = side } = layout;
  let data;
  let told = performance.now();
  for (const [row, file] of images.entries()) {
    let image = await decoded(file, layout.channels, title);
    height = typeof height === 'number' ? height : image.height;
    width = typeof width === 'number' ? width : image.width;
    if (resize) image = resized(image, height, width);
    if (image.height !== height || image.width !== width)
      throw new Error(
        `Image '${shown(file.path)}' in ${title} has ${image.height} × ${image.width} pixels (height × width), and ` +
          `${height} × ${width} are wanted: choose to resize images, or make them alike.`,
      );
    const size = image.data.length;
    if (size * images.length > LIMITS.bytes)
      throw new Error(
        `${images.length} images of ${height} × ${width} pixels are more than 1 GiB: give fewer.`,
      );
    data ??= new Uint8Array(size * images.length);
    data.set(image.data, row * size);
    if (performance.now() - told < TOLD_EVERY) continue;
    progress?.(row + 1);
    told = performance.now();
  }
  return new ImageColumn(data, images.length, { ...layout, height, width }, normalize ? IMAGENET : undefined);
}

async function decoded(file, channels, title) {
  const called = `'${shown(file.path)}' in ${title}`;
  const bytes = await file.bytes();
  const stated = statedSize(bytes);
  checkSize(stated, called);
  if (stated?.bits === 16)
    throw new Error(`The image ${called} has 16 bits a channel, and not 8: convert it.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes]), {
      premultiplyAlpha: 'none',
      colorSpaceConversion: 'none',
    });
  } catch {
    throw new Error(`The image ${called} cannot be read: leave it out, or replace it.`);
  }
  const { width, height } = bitmap;
  checkSize(bitmap, called);
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const [r, g, b] = [rgba[from], rgba[from + 1], rgba[from + 2]];
    if (rgba[from + 3] < 255)
      throw new Error(`The image ${called} is transparent in places: save it without.`);
    if (channels === 1) data[to++] = Math.round(0.299 * r + 0.587 * g + 0.114 * b);
    else [data[to++], data[to++], data[to++]] = [r, g, b];
  }
  return { data, height, width, channels };
}

/** The size that a file states, so that one of billions of pixels is not decoded; undefined where it does not. */
function statedSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 26) return undefined;
  const magic = view.getUint32(0);
  if (magic === 0x89504e47) return { width: view.getUint32(16), height: view.getUint32(20), bits: bytes[24] };
  if (magic === 0x47494638) return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
  if (magic >>> 16 === 0x424d)
    return { width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
  if (magic >>> 16 !== 0xffd8) return undefined;
  // JPEG: segments, of which that of a frame (SOF) has the size
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const isFrame = (bytes[at + 1] & 0xf0) === 0xc0 && ![0xc4, 0xc8, 0xcc].includes(bytes[at + 1]);
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
  }
  return undefined;
}

function checkSize(size, called) {
  if (size && size.width * size.height > MOST_PIXELS)
    throw new Error(
      `The image ${called} has ${size.width} × ${size.height} pixels, and ${MOST_PIXELS.toLocaleString('en')} are ` +
        'the most: leave it out, or make it smaller.',
    );
}

/** Images as a column of examples: bytes, which become what an input takes when they are taken. */
export class ImageColumn {
  constructor(data, count, layout, normalize) {
    Object.assign(this, { data, count, layout, normalize });
  }

  /** One of them to show: { rgba, width, height }. */
  picture(row) {
    const { channels, height, width } = this.layout;
    const from = row * height * width * channels;
    const value = (at) => this.data[from + (at >> 2) * channels + (channels === 3 ? at % 4 : 0)];
    const rgba = Uint8ClampedArray.from({ length: 4 * height * width }, (_, at) =>
      at % 4 === 3 ? 255 : value(at),
    );
    return { rgba, width, height };
  }

  /** The images of rows, as an input has them. */
  take(rows, { dtype, shape }) {
    const { axes, channels, height, width } = this.layout;
    const plane = height * width;
    const size = plane * channels;
    const isFloat = dtype.startsWith('float');
    const taken = new Float32Array(rows.length * size);
    for (let c = 0; c < channels; c++) {
      const [mean, std] = this.normalize
        ? [this.normalize.mean[c], this.normalize.std[c]].map(Math.fround)
        : [0, 1];
      const value = Float32Array.from({ length: 256 }, (_, byte) =>
        isFloat ? Math.fround(Math.fround(Math.fround(byte / 255) - mean) / std) : byte,
      );
      rows.forEach((row, at) => {
        for (let pixel = 0; pixel < plane; pixel++) {
          const to = axes === 'CHW' ? c * plane + pixel : pixel * channels + c;
          taken[at * size + to] = value[this.data[row * size + pixel * channels + c]];
        }
      });
    }
    const sizes = {
      4: { CHW: [channels, height, width], HWC: [height, width, channels] }[axes],
      3: [height, width],
    };
    return { data: taken, dtype, dims: [rows.length, ...(sizes[shape.length] ?? [size])] };
  }
}

/** A picture of a row of an array, numbers from 0 to 1: { rgba, width, height }. */
export function grayPicture({ data }, row, height, width) {
  const size = height * width;
  const value = (at) => (at % 4 === 3 ? 255 : 255 * data[size * row + (at >> 2)]);
  return { rgba: Uint8ClampedArray.from({ length: 4 * size }, (_, at) => value(at)), width, height };
}
