/** Parts of the page that are made of what is given. Names of others are text, and never markup. */

const made = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** Asks what the data leaves open: the columns of a table, what becomes of images. */
export function askOf(form, { kind, columns = [], size, classes = [] }, model) {
  const fields = {
    table: () =>
      columns.map(({ name, text }) => {
        const input = made('input', { type: 'text', value: text, name, spellcheck: false });
        input.dataset.column = name;
        const role = model.labels.some((label) => label.name === name) ? 'Label ' : 'Input ';
        return made('label', {}, made('span', {}, role, made('code', {}, name), ' from columns'), input);
      }),
    images: () => [
      made(
        'label',
        {},
        'Images',
        choice('resize', [
          ['yes', size ? `resized to ${size}` : 'resized to the first'],
          ['no', 'as they are'],
        ]),
      ),
      made(
        'label',
        {},
        'Pixels',
        choice('normalize', [
          ['no', 'from 0 to 1'],
          ['yes', "ImageNet's mean and deviation"],
        ]),
      ),
      made(
        'p',
        { className: 'note' },
        `${classes.length} classes: ${classes.slice(0, 20).join(', ')}${classes.length > 20 ? ', …' : ''}`,
      ),
    ],
  }[kind];
  form.replaceChildren(...(fields?.() ?? []));
  form.hidden = !fields;
}

function choice(name, options) {
  return made('select', { name }, ...options.map(([value, text]) => made('option', { value }, text)));
}

/** What was answered: { columns, resize, normalize }. */
export function answersOf(form) {
  const inputs = [...form.querySelectorAll('[data-column]')];
  const chosen = (name) => form.querySelector(`select[name=${name}]`)?.value === 'yes';
  return {
    columns: Object.fromEntries(inputs.map((input) => [input.dataset.column, input.value])),
    resize: chosen('resize'),
    normalize: chosen('normalize'),
  };
}

/** A table of what a step takes. */
export function showTensors(table, { inputs, labels }) {
  const rows = [...inputs, ...labels].map(({ name, dtype, shape }) =>
    made(
      'tr',
      {},
      made('td', {}, made('code', {}, name)),
      made('td', {}, dtype),
      made('td', {}, shape.map((size) => (size === '?' ? 'any' : size)).join(' × ')),
    ),
  );
  const head = made('tr', {}, ...['array', 'type', 'shape'].map((text) => made('th', {}, text)));
  table.replaceChildren(head, ...rows);
}

/** Examples that the model gets wrong, with their pictures where there are such. */
export function showMistakes(element, { count, of, shown }) {
  element.mistakeCount.textContent = `${count.toLocaleString('en')} of ${of.toLocaleString('en')}`;
  element.mistakes.replaceChildren(
    ...shown.map(({ wanted, answer, picture }) => {
      const figure = made('figure', { title: `${wanted}, taken for ${answer}` });
      if (picture) {
        const { width, height, rgba } = picture;
        const canvas = made('canvas', { width, height });
        canvas.getContext('2d').putImageData(new ImageData(rgba, width, height), 0, 0);
        figure.append(canvas);
      }
      figure.append(`${wanted} as ${answer}`);
      return figure;
    }),
  );
}
