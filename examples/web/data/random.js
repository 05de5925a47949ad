/**
 * NumPy's `default_rng(entropy).permutation(count)`, bit for bit, so that examples come in the order in which
 * `svgd-onnx train` takes them.
 *
 * SeedSequence and PCG64 (XSL-RR, 128 bits; O'Neill 2014) as NumPy has them, and Fisher and Yates' shuffle.
 */

const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;
const MULTIPLIER = (2549297995355413924n << 64n) + 4865540595714422341n;

/** The numbers 0 to count - 1 in an order that follows from non-negative integers (a number or BigInt each). */
export function permutation(count, entropy) {
  const next32 = pcg64(entropy);
  const order = Uint32Array.from({ length: count }, (_, row) => row);
  for (let i = count - 1; i > 0; i--) {
    const j = bounded(next32, i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** A number from 0 to `highest`: of so many bits, drawn again while it is more. */
function bounded(next32, highest) {
  const mask = 0xffffffff >>> Math.clz32(highest);
  for (;;) {
    const value = (next32() & mask) >>> 0;
    if (value <= highest) return value;
  }
}

/** A generator of 32 bits: each 64 of PCG64 give two, the lower half first. */
function pcg64(entropy) {
  const [a, b, c, d] = seedWords(entropy);
  const increment = (((c << 64n) + d) << 1n) | 1n;
  let state = (increment + ((a << 64n) + b)) & MASK_128;
  const advance = () => (state = (state * MULTIPLIER + increment) & MASK_128);
  advance();
  let upper;
  return () => {
    if (upper !== undefined) {
      const kept = upper;
      upper = undefined;
      return kept;
    }
    advance();
    const [folded, turn] = [(state >> 64n) ^ (state & MASK_64), state >> 122n];
    const value = ((folded >> turn) | (folded << (64n - turn))) & MASK_64;
    upper = Number(value >> 32n);
    return Number(value & 0xffffffffn);
  };
}

/** What NumPy's SeedSequence makes of integers: four numbers of 64 bits. */
function seedWords(entropy) {
  const words = entropy.flatMap(words32);
  const multiply = (value, factor) => Math.imul(value, factor) >>> 0;
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value = (value ^ constant) >>> 0;
    constant = multiply(constant, 0x931e8875);
    value = multiply(value, constant);
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (x, y) => {
    const value = (multiply(x, 0xca01f9dd) - multiply(y, 0x4973f715)) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const pool = Array.from({ length: 4 }, (_, i) => hash(words[i] ?? 0));
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  }
  for (const word of words.slice(4)) {
    for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(word));
  }
  constant = 0x8b51f9dd;
  const out = Array.from({ length: 8 }, (_, i) => {
    let value = (pool[i % 4] ^ constant) >>> 0;
    constant = multiply(constant, 0x58f38ded);
    value = multiply(value, constant);
    return BigInt((value ^ (value >>> 16)) >>> 0);
  });
  return [0, 2, 4, 6].map((i) => out[i] + (out[i + 1] << 32n));
}

function words32(number) {
  let rest = BigInt(number);
  const words = [];
  do words.push(Number(rest & 0xffffffffn));
  while ((rest >>= 32n));
  return words;
}
