/** Tables of comma-separated values (or of tabs), whose first line names the columns. */

import { CsvError, parse } from '../node_modules/csv-parse/dist/esm/sync.js';
import { byCodePoint, quoted, shown } from './words.js';

// What pyarrow takes for no value.
const NOTHING = new Set(
  [
    '',
    '#N/A',
    '#N/A N/A',
    '#NA',
    '-1.#IND',
    '-1.#QNAN',
    '-NaN',
    '-nan',
    '1.#IND',
    '1.#QNAN',
    'N/A',
    'NA',
    'NULL',
  ].concat(['NaN', 'n/a', 'nan', 'null']),
);
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
// As pyarrow has them: 1 and 0.
const [TRUE, FALSE] = [/^(1|true|True|TRUE)$/, /^(0|false|False|FALSE)$/];
const INFINITY = /^[+-]?inf(inity)?$/i;

/** The columns of a table by name: arrays, and of texts the numbers of their classes, which `classes` names. */
export function readTable(bytes, name) {
  const title = `'${shown(name)}'`;
  let lines;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    lines = parse(text, { delimiter: /\.tsv$/i.test(name) ? '\t' : ',', bom: true, skip_empty_lines: true });
  } catch (error) {
    const why = error instanceof CsvError ? error.message : 'it is no text in UTF-8';
    throw new Error(`${title} cannot be read as a table (${shown(why)}).`);
  }
  const [names = [], ...rows] = lines;
  const twice = names.find((each, at) => names.indexOf(each) < at);
  if (twice !== undefined)
    throw new Error(`${title} has several columns '${shown(twice)}': give each its own name.`);
  if (!rows.length) throw new Error(`There is no example in ${title}: it is empty.`);
  const columns = new Map(
    names.map((each, at) => [
      each,
      columnOf(
        rows.map((row) => row[at]),
        each,
        title,
      ),
    ]),
  );
  return { columns, count: rows.length, title };
}

function columnOf(cells, name, title) {
  const given = cells.filter((cell) => !NOTHING.has(cell));
  const isNumber = given.every((cell) => NUMBER.test(cell.trim()) || INFINITY.test(cell.trim()));
  const isBoolean = !isNumber && given.every((cell) => TRUE.test(cell) || FALSE.test(cell));
  const empty = cells.findIndex((cell) => (isNumber || isBoolean ? NOTHING.has(cell) : cell === ''));
  // said only where the column is used
  const check = () => {
    if (empty >= 0)
      throw new Error(
        `Column '${shown(name)}' of ${title} has nothing in row ${empty}: fill it in, or leave the row out.`,
      );
  };
  if (isBoolean) {
    const data = BigInt64Array.from(cells, (cell) => BigInt(TRUE.test(cell)));
    return { dtype: 'int64', shape: [cells.length], data, check };
  }
  if (!isNumber) {
    const classes = [...new Set(cells)].sort(byCodePoint);
    const numbers = new Map(classes.map((text, number) => [text, number]));
    const data = Int32Array.from(cells, (cell) => numbers.get(cell));
    return { dtype: 'int32', shape: [cells.length], data, classes, check };
  }
  const isInteger = given.every((cell) => /^\s*[+-]?\d{1,15}\s*$/.test(cell));
  const number = (cell) =>
    INFINITY.test(cell.trim()) ? (/-/.test(cell) ? -Infinity : Infinity) : Number(cell);
  const data = isInteger
    ? BigInt64Array.from(cells, (cell) => BigInt(NOTHING.has(cell) ? 0 : Number(cell)))
    : Float64Array.from(cells, number);
  return { dtype: isInteger ? 'int64' : 'float64', shape: [cells.length], data, check };
}

/**
 * The columns that each input, and each label, is made of: a guess, which the user may change.
 *
 * @returns names of columns by that of the tensor; a label has that of its name, or one that is called so
 *   usually, or the last; an input that of its name, or the only one all others
 */
export function guessColumns({ columns }, inputs, labels) {
  const names = [...columns.keys()];
  const usual = /^(labels?|targets?|class|species|y)$/i;
  const guess = new Map([...inputs, ...labels].map(({ name }) => [name, columns.has(name) ? [name] : []]));
  const free = () => names.filter((name) => ![...guess.values()].flat().includes(name));
  for (const { name } of labels) {
    if (!guess.get(name).length) guess.set(name, [free().find((each) => usual.test(each)) ?? free().at(-1)]);
  }
  const open = inputs.filter(({ name }) => !guess.get(name).length);
  if (open.length === 1) guess.set(open[0].name, free());
  return guess;
}

/** The columns of names and globs, as `--columns` takes them: with commas between. */
export function matching({ columns, title }, text, tensor) {
  const found = new Set();
  for (const glob of text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)) {
    const pattern = new RegExp(
      `^${glob
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replace(/\*/g, '.*')
        .replace(/\?/g, '.')}$`,
      's',
    );
    const fits = columns.has(glob) ? [glob] : [...columns.keys()].filter((name) => pattern.test(name));
    if (!fits.length)
      throw new Error(
        `'${shown(tensor)}' is to be of '${shown(glob)}', which is no column of ${title}: there is ` +
          `${quoted(columns.keys())}.`,
      );
    fits.forEach((name) => found.add(name));
  }
  if (!found.size) throw new Error(`'${shown(tensor)}' has no column of ${title}: say which it is.`);
  return [...found];
}

/** Columns next to each other: (rows) of one, (rows, columns) of several. */
export function joined(table, names, { name: tensor, dtype, shape }, isLabel) {
  const columns = names.map((name) => {
    const column = table.columns.get(name);
    column.check();
    if (column.classes && !isLabel)
      throw new Error(
        `Column '${shown(name)}' of ${table.title} has texts, which are for labels: give '${shown(tensor)}' numbers.`,
      );
    return column;
  });
  const [first] = columns;
  const texts = names.find((name) => table.columns.get(name).classes);
  if (texts !== undefined && names.length > 1)
    throw new Error(
      `Column '${shown(texts)}' of ${table.title} has texts, and is one of several that '${shown(tensor)}' is made ` +
        'of: nothing says which number each text has, so give numbers.',
    );
  const floats = dtype.startsWith('float');
  if (columns.length === 1 && shape.length === 1)
    return floats ? { ...first, dtype: 'float64', data: Float64Array.from(first.data, Number) } : first;
  const own = floats || columns.some((column) => column.dtype === 'float64') ? 'float64' : 'int64';
  const data = new (own === 'float64' ? Float64Array : BigInt64Array)(table.count * columns.length);
  const number = own === 'float64' ? Number : BigInt;
  columns.forEach((column, at) =>
    column.data.forEach((value, row) => (data[row * columns.length + at] = number(value))),
  );
  return { dtype: own, shape: [table.count, columns.length], data, classes: first.classes };
}
