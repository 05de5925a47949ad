/** A pad to draw digits on, which the network reads. */

const SIZE = 8; // of the network's images

export class Pad {
  #element;
  #predict;
  #strokes = [];
  #bars;

  /** @param predict from 64 pixels to the probability of each digit; undefined where it cannot say now */
  constructor(element, predict, guarded) {
    this.#element = element;
    this.#predict = predict;
    this.#bars = Array.from({ length: 10 }, (_, digit) => {
      const item = document.createElement('li');
      const bar = document.createElement('progress');
      bar.setAttribute('aria-label', `Probability of ${digit}`);
      item.append(digit, bar);
      element.probabilities.append(item);
      return bar;
    });
    const { pad, clear } = element;
    const on = (target, name, handler) => target.addEventListener(name, guarded(handler));
    on(pad, 'pointerdown', async (event) => {
      pad.setPointerCapture(event.pointerId);
      this.#strokes.push([[event.offsetX, event.offsetY]]);
      await this.read();
    });
    on(pad, 'pointermove', async (event) => {
      if (!event.buttons || !this.#strokes.length) return;
      this.#strokes.at(-1).push([event.offsetX, event.offsetY]);
      await this.read();
    });
    on(clear, 'click', async () => {
      this.#strokes.length = 0;
      await this.read();
    });
  }

  /** Shows what the network takes the drawing for. */
  async read() {
    const context = this.#element.pad.getContext('2d');
    context.clearRect(0, 0, this.#element.pad.width, this.#element.pad.height);
    this.#draw(context, 20);
    const drawn = this.#strokes.length > 0;
    const pixels = drawn ? this.#pixels() : new Array(SIZE * SIZE).fill(0);
    const rgba = Uint8ClampedArray.from({ length: 4 * SIZE * SIZE }, (_, at) =>
      at % 4 < 3 ? 255 * pixels[at >> 2] : 255,
    );
    this.#element.seen.getContext('2d').putImageData(new ImageData(rgba, SIZE, SIZE), 0, 0);
    const probabilities = drawn ? await this.#predict(pixels) : undefined;
    const answer = probabilities?.indexOf(Math.max(...probabilities));
    this.#element.answer.textContent = answer ?? '–';
    this.#bars.forEach((bar, digit) => {
      bar.value = probabilities?.[digit] ?? 0;
      bar.parentElement.classList.toggle('best', digit === answer);
    });
  }

  /** The drawing as the network knows digits: as high as the image, in the middle, 8x8 blocks of ink. */
  #pixels() {
    const size = 4 * SIZE;
    const width = 5.5; // of a stroke; so as much is ink as in scikit-learn's digits, 31 %
    const points = this.#strokes.flat();
    const [left, top] = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis])));
    const [right, bottom] = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
    const scale = (size - width) / Math.max(right - left, bottom - top, 1);
    const context = new OffscreenCanvas(size, size).getContext('2d');
    context.translate(size / 2, size / 2);
    context.scale(scale, scale);
    context.translate(-(left + right) / 2, -(top + bottom) / 2);
    this.#draw(context, width / scale);
    const ink = context.getImageData(0, 0, size, size).data;
    return Array.from({ length: SIZE * SIZE }, (_, pixel) => {
      const [row, column] = [Math.floor(pixel / SIZE), pixel % SIZE];
      let sum = 0;
      for (let y = 4 * row; y < 4 * row + 4; y++) {
        for (let x = 4 * column; x < 4 * column + 4; x++) sum += ink[4 * (size * y + x) + 3];
      }
      return sum / (16 * 255);
    });
  }

  #draw(context, width) {
    Object.assign(context, { lineWidth: width, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
    for (const [start, ...rest] of this.#strokes) {
      context.beginPath();
      context.moveTo(...start);
      for (const point of [start, ...rest]) context.lineTo(...point);
      context.stroke();
    }
  }
}
