/* The panel: what is known of what was chosen, and what a search found. Names become text, never markup. */

const MOST_FOUND = 200;

function html(tag, name, text, ...members) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  element.append(...members);
  return element;
}

class Panel {
  /** go: shows a node, by its number, or a layer. */
  constructor(element, go) { Object.assign(this, {element, go}); }

  show(...parts) { this.element.replaceChildren(...parts.filter(Boolean)); this.element.scrollTop = 0; }

  /** What is said of the whole. */
  overview(picture) {
    const {facts} = picture.content;
    const rows = Object.entries(facts).map(([name, text]) => [name, text]);
    const kinds = picture.nodes.filter(Boolean).map((node) => node[KIND]);
    rows.push(['nodes', kinds.length.toLocaleString('en')]);
    rows.push(['T', kinds.filter((kind) => kind === 'T').length ? `before ${this.acting(picture)} gradients` : 'nowhere']);
    for (const role of LEARNED) {
      const found = picture.values.filter((value) => value[ROLE] === role);
      if (found.length) rows.push([role, `${found.length} tensors, ${amount(sum(found.map((each) => sizeOf(each[SHAPE]))))} numbers`]);
    }
    const how = picture.content.before
      ? 'The switch above shows the graph before T came in.'
      : 'A folder holds the graph with T; the page of a model has it before T too.';
    const paragraphs = [
      'Arrows down are the forward pass, arrows up its gradients; inside an opened operation all arrows run down.',
      'Click a layer to open it, and an operation to see its gradient. Drag to move, turn the wheel to zoom.', how];
    this.show(html('h2', '', 'Training graph'), table(rows), ...paragraphs.map((each) => html('p', 'dim', each)));
  }

  acting(picture) {
    return new Set(picture.content.operations.map((each) => each.state).filter((state) => state >= 0)).size;
  }

  node(picture, number) {
    const node = picture.nodes[number];
    const value = (each) => this.value(picture, each);
    const list = (title, values) => {
      const found = values.filter((each) => each >= 0).map(value);
      return found.length ? html('section', '', undefined, html('h3', '', title), ...found) : null;
    };
    const attributes = Object.entries(node[ATTRIBUTES]);
    this.show(
      html('h2', '', node[OPERATOR]),
      html('p', 'name', node[NAME]),
      html('p', '', undefined, html('span', `kind kind-${node[KIND].replace(' ', '-')}`, node[KIND])),
      node[STAGE] === AFTER && html('p', 'dim', 'Only with T.'),
      node[STAGE] === BEFORE && html('p', 'dim', 'Only before T: with it, a second one that reads T’s output takes its place.'),
      this.decisions(picture, number),
      list('Reads', picture.inputs(node)),
      list('Gives', picture.outputs(node)),
      this.gradient(picture, number),
      attributes.length ? html('section', '', undefined, html('h3', '', 'Attributes'), table(attributes)) : null,
    );
  }

  /** T's decisions about an operation, or about that whose gradient a node is part of. */
  decisions(picture, number) {
    const owner = picture.nodes[number][OWNER];
    const found = picture.content.operations.filter((each) => each.node === owner);
    if (!found.length) return null;
    const rows = found.map((each) => {
      const acts = each.state >= 0;
      const [name] = picture.values[each.parameter];
      const shape = acts ? picture.values[each.state][SHAPE] : '';
      return html('div', acts ? 'decision acts' : 'decision', undefined,
        html('b', '', acts ? 'T' : 'T is the identity'),
        html('span', 'name', ` ${name}`),
        html('div', 'dim', each.reason),
        ...(acts ? [html('div', '', `r: ${shape}, a number for each ${each.granularity}`)] : []));
    });
    return html('section', '', undefined, html('h3', '', 'Virtual gradient'), ...rows);
  }

  /** The nodes of an operation's gradient. */
  gradient(picture, number) {
    const nodes = picture.owned.get(number) ?? [];
    if (!nodes.length) return null;
    const entries = nodes.map((each) => this.entry(picture.nodes[each][NAME], picture.nodes[each][KIND], picture.nodes[each][OPERATOR], each));
    return html('section', '', undefined, html('h3', '', `Its gradient (${nodes.length})`), ...entries);
  }

  group(picture, box) {
    const list = (title, values) => {
      const found = values.slice(0, MOST_FOUND).map((each) => this.value(picture, each));
      return found.length ? html('section', '', undefined, html('h3', '', `${title} (${values.length})`), ...found) : null;
    };
    this.show(
      html('h2', '', box.label || 'Training graph'),
      html('p', 'dim', `${box.operations} forward, ${box.gradients} of the backward pass`),
      ...LEARNED.map((role) => list(role, box.parameters.filter((value) => picture.values[value][ROLE] === role))),
      list('r', box.states),
    );
  }

  value(picture, number) {
    const [name, shape, role, note] = picture.values[number];
    const other = picture.maker.get(number) ?? picture.readers.get(number)?.[0];
    return this.entry(name, `${role || (isGradient(picture, number) ? 'gradient' : 'forward')}`, [role, shape, note].filter(Boolean).join(' · '), other);
  }

  entry(name, mark, note, node) {
    const button = html('button', 'entry', undefined,
      html('i', `dot mark-${mark.replace(' ', '-')}`), html('span', 'name', name), html('small', 'dim', note));
    if (node === undefined) button.disabled = true;
    else button.addEventListener('click', () => this.go(node));
    return button;
  }

  found(picture, title, nodes, values, layers = []) {
    const entries = [
      ...layers.map((each) => this.entry(pathOf(each), 'constant', `layer · ${each.nodes.length} nodes`, each)),
      ...values.map((each) => this.value(picture, each)),
      ...nodes.map((each) => this.entry(picture.nodes[each][NAME], picture.nodes[each][KIND], picture.nodes[each][OPERATOR], each)),
    ];
    const more = entries.length > MOST_FOUND ? html('p', 'dim', `${entries.length - MOST_FOUND} more: search for more letters.`) : null;
    this.show(html('h2', '', title), html('p', 'dim', `${entries.length} found`), ...entries.slice(0, MOST_FOUND), more);
  }
}

function table(rows) {
  return html('table', '', undefined, ...rows.map(([name, text]) => html('tr', '', undefined, html('th', '', name), html('td', '', text))));
}
