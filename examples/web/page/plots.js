/** Plots over steps and epochs, in the colours of the page. */

import uPlot from '../node_modules/uplot/dist/uPlot.esm.js';

const FONT = '12px system-ui, sans-serif';
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A number as short as it may be: 0.0002, 12, 1.5e+6. */
function label(value) {
  const size = Math.abs(value);
  if (value === 0 || (size >= 0.001 && size < 100_000)) return String(+value.toPrecision(6));
  return value.toExponential().replace(/(\.\d\d)\d*e/, '$1e');
}

/** As wide as the longest of an axis's labels. */
function widthOf(plot, values, axis) {
  const context = plot.ctx;
  context.save();
  context.font = plot.axes[axis].font[0];
  const widths = (values ?? []).map((value) => context.measureText(value ?? '').width / devicePixelRatio);
  context.restore();
  return Math.ceil(Math.max(20, ...widths)) + 14;
}

/** Labels at powers of ten alone; at all numbers where there are fewer than two of these. */
const powersOfTen = (_, values) => {
  const powers = values.map((value) => (Number.isInteger(+Math.log10(value).toFixed(9)) ? value : null));
  return powers.filter((value) => value !== null).length > 1 ? powers : values;
};

const decades = (_, lowest, highest) =>
  [
    10 ** Math.floor(Math.log10(lowest ?? 0.001) + 1e-9),
    10 ** Math.ceil(Math.log10(highest ?? 10) - 1e-9),
  ].map((value, at, [low, high]) => (at && high <= low ? 10 * low : value));

function areFarApart(lines) {
  let [lowest, highest] = [Infinity, -Infinity];
  for (const value of lines.flat()) {
    if (value === null) continue;
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  return lowest > 0 && highest > 10 * lowest;
}

/** A plot of two lines; `as` says how: { x: its name, scale: "log" | "linear" | "percent", least, series }. */
export class Plot {
  #target;
  #plot;
  #as;
  #data;

  constructor(target, as) {
    this.#target = target;
    this.#as = as;
    this.#data = [[], ...as.series.map(() => [])];
    this.#make();
    new ResizeObserver(() => this.#plot.setSize(this.#size)).observe(target);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#make());
  }

  /** Shows other numbers; those of x first. A logarithmic scale is for those above 0 that are far apart. */
  set(data, as = {}) {
    const wanted = { ...this.#as, ...as };
    if (wanted.scale === 'log' && !areFarApart(data.slice(1))) wanted.scale = 'linear';
    this.#data = data;
    const same = wanted.scale === this.#as.scale;
    this.#as = wanted;
    if (same) this.#plot.setData(data);
    else this.#make();
  }

  get #size() {
    return { width: this.#target.clientWidth, height: this.#target.clientHeight };
  }

  #make() {
    this.#plot?.destroy();
    const { x, scale, least, series } = this.#as;
    const lines = { stroke: color('--line'), width: 1 };
    const axis = { stroke: color('--muted'), font: FONT, grid: lines, ticks: { show: false } };
    const y = {
      log: {
        scale: { distr: 3, range: decades },
        axis: { filter: powersOfTen, grid: { ...lines, filter: powersOfTen } },
      },
      linear: { scale: {}, axis: {} },
      percent: {
        scale: { range: (_, lowest) => [Math.max(0, 5 * Math.ceil((lowest ?? 80) / 5 - 1)), 100] },
        axis: { values: (_, values) => values.map((value) => `${label(value)} %`) },
      },
    }[scale];
    const labels = (_, values) => values.map((value) => (value === null ? null : label(value)));
    this.#plot = new uPlot(
      {
        ...this.#size,
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 24, 0, 0],
        scales: {
          x: { time: false, range: (_, first, last) => [1, Math.max(last ?? 0, least)] },
          y: y.scale,
        },
        axes: [
          {
            ...axis,
            label: x,
            labelFont: FONT,
            labelSize: 18,
            labelGap: 0,
            size: 28,
            space: 60,
            values: (_, values) => values.map((value) => value.toLocaleString('en')),
            incrs: WHOLE,
          },
          { ...axis, size: widthOf, values: labels, ...y.axis },
        ],
        series: [
          {},
          ...series.map(({ color: name, width = 2, points }) => ({
            stroke: color(name),
            width,
            points: { fill: color('--paper'), ...points },
          })),
        ],
      },
      this.#data,
      this.#target,
    );
  }
}

// steps between labels: there is no half a step
const WHOLE = [1, 2, 5]
  .flatMap((first) => Array.from({ length: 9 }, (_, power) => first * 10 ** power))
  .sort((a, b) => a - b);
