/**
 * Pictures in another size: bilinear, over all pixels that fall into one, as Pillow does it; columns first, where some
 * versions of it take rows first at times, which makes a difference of 1 of 255 in some pixels.
 */

const BITS = 22; // of the weights, which are integers

/**
 * @param image { data: Uint8Array, height, width, channels }, pixel by pixel, the rows from above
 */
export function resized(image, height, width) {
  if (image.height === height && image.width === width) return image;
  const wide = image.width === width ? image : turned(alongRows(turned(image), width));
  return wide.height === height ? wide : alongRows(wide, height);
}

/** Each new row from the rows that fall into it. */
function alongRows({ data, height: old, width, channels }, height) {
  const line = width * channels;
  const made = new Uint8Array(height * line);
  weights(old, height).forEach(({ first, each }, row) => {
    for (let x = 0; x < line; x++) {
      let sum = 1 << (BITS - 1);
      for (let i = 0; i < each.length; i++) sum += data[(first + i) * line + x] * each[i];
      made[row * line + x] = Math.max(0, Math.min(255, sum >> BITS));
    }
  });
  return { data: made, height, width, channels };
}

/** For each new row the first old one that counts, and what each from there on counts. */
function weights(old, wanted) {
  const scale = old / wanted;
  const reach = Math.max(scale, 1);
  return Array.from({ length: wanted }, (_, row) => {
    const centre = (row + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(old, Math.trunc(centre + reach + 0.5));
    const each = Array.from({ length: end - first }, (_, i) =>
      Math.max(0, 1 - Math.abs((i + first - centre + 0.5) / reach)),
    );
    const sum = each.reduce((total, weight) => total + weight, 0);
    return { first, each: each.map((weight) => Math.trunc(0.5 + (weight / sum) * (1 << BITS))) };
  });
}

function turned({ data, height, width, channels }) {
  const made = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++)
        made[(x * height + y) * channels + c] = data[(y * width + x) * channels + c];
    }
  }
  return { data: made, height: width, width: height, channels };
}
