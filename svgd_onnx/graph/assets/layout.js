/* Sizes and places: what a box says, how large it is, and where dagre puts what is in it. */

const FONT = 12.5, LINE = 19, PADDING = 9, HEADER = 26, MOST_PARAMETERS = 4, WIDEST = 38;
const pen = document.createElement('canvas').getContext('2d');

function widthOf(text, bold) {
  pen.font = `${bold ? 600 : 400} ${FONT}px system-ui, sans-serif`;
  return pen.measureText(text).width;
}

/** The end of a name, from where one of its parts begins if that is not far. */
function cut(text, most = WIDEST) {
  if (text.length <= most) return text;
  const end = text.slice(1 - most);
  return `…${end.replace(/^[^./]{0,7}[./]/, '')}`;
}

/** Lines of a closed box: each a list of {text, bold, dim, mark}, a mark being the class of a dot before it. */
function linesOf(picture, box) {
  if (box.type === 'pill') return [[{text: box.label, mark: box.mark}, {text: box.note ?? '', dim: true}]];
  const shape = (value) => picture.values[value][SHAPE] ?? '';
  const lines = [titleOf(picture, box)];
  if (box.type === 'group') {
    const parts = [`${box.operations || box.gradients} node${(box.operations || box.gradients) === 1 ? '' : 's'}`];
    if (box.operations && box.gradients) parts.push(`∇ ${box.gradients}`);
    lines.push([{text: parts.join(' · '), dim: true}]);
    const marks = LEARNED.flatMap((role) => {
      const found = box.parameters.filter((value) => picture.values[value][ROLE] === role);
      return found.length ? [{mark: role, text: amount(sum(found.map((value) => sizeOf(shape(value)))))}] : [];
    });
    if (box.states.length) marks.push({mark: 'T', text: `${box.states.length}`});
    if (marks.length) lines.push(marks);
    return lines;
  }
  // of a node of the gradient the values that it reads are arrows, once it is seen by itself
  const isPlain = box.type === 'node' && picture.nodes[box.node][KIND] !== 'forward';
  const [parameters, states] = isPlain ? [[], []] : [box.parameters, box.states];
  for (const value of parameters.slice(0, MOST_PARAMETERS)) {
    const [name, , role] = picture.values[value];
    lines.push([{mark: role, text: cut(name.split(/[./]/).at(-1), 20)}, {text: shape(value), dim: true}]);
  }
  if (parameters.length > MOST_PARAMETERS) {
    lines.push([{text: `and ${parameters.length - MOST_PARAMETERS} more`, dim: true}]);
  }
  if (box.type === 'cell') {
    const line = [{text: `∇ ${box.gradients} node${box.gradients === 1 ? '' : 's'}`, mark: 'gradient'}];
    for (const value of states) line.push({mark: 'T', text: `r ${shape(value)}`});
    lines.push(line);
  } else {
    for (const value of states) lines.push([{mark: 'T', text: `r ${shape(value)}`}]);
  }
  return lines;
}

function titleOf(picture, box) {
  if (box.node < 0) return [{text: cut(box.label), bold: true}];
  const node = picture.nodes[box.node];
  const operator = node[KIND] === 'T' && node[OPERATOR] === 'VirtualGradient' ? 'T' : node[OPERATOR];
  return [{text: operator, bold: true}, ...(box.label ? [{text: cut(box.label, 26), dim: true}] : [])];
}

const roomFor = (mark) => (mark ? (mark === 'T' ? 17 : 14) : 0);
const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);
const widthOfLine = (line) => sum(line.map(({text, bold, mark}) => widthOf(text, bold) + roomFor(mark) + 9));

/** Gives a box its size, and its members their places relative to it. */
function arrange(picture, box) {
  if (!box.stale) return;
  box.stale = false;
  if (!box.open) {
    box.lines = linesOf(picture, box);
    box.width = Math.max(...box.lines.map(widthOfLine)) + 2 * PADDING + (box.openable ? 16 : 0);
    box.height = box.lines.length * LINE + 2 * PADDING - 6;
    return;
  }
  const shown = box.type === 'cell' ? [...box.members, ...pillsOf(picture, box)] : box.members;
  box.shown = shown;
  for (const each of shown) arrange(picture, each);
  const edges = edgesOf(picture, box);
  const loose = new Set(shown.filter((each) => each.aside));
  const [width, height] = placed(picture, shown.filter((each) => !loose.has(each)), edges);
  let right = width, bottom = height;
  for (const each of loose) {
    Object.assign(each, {x: right ? right + 40 : 0, y: 0});
    right = each.x + each.width;
    bottom = Math.max(bottom, each.height);
  }
  box.flowWidth = width;
  box.drawn = edges;
  box.title = titleOf(picture, box);
  const header = box.depth ? HEADER : 0, margin = box.depth ? 14 : 0;
  for (const each of shown) Object.assign(each, {x: each.x + margin, y: each.y + margin + header});
  for (const {points} of edges) for (const point of points) Object.assign(point, {x: point.x + margin, y: point.y + margin + header});
  for (const edge of edges) if (edge.x !== undefined) Object.assign(edge, {x: edge.x + margin, y: edge.y + margin + header});
  box.width = Math.max(right + 2 * margin, widthOfLine(box.title) + 44);
  box.height = bottom + 2 * margin + header;
}

/** What dagre makes of boxes and edges: places of their upper left corners, and the size of the whole. */
function placed(picture, boxes, edges) {
  const nodes = boxes.map((box, v) => ({v: `${v}`, width: box.width, height: box.height, box}));
  if (!nodes.length) return [0, 0];
  const numbers = new Map(nodes.map(({v, box}) => [box, v]));
  const lines = edges.map((edge) => {
    edge.text = labelOf(picture, edge);
    const label = edge.text ? {width: widthOf(edge.text) * 0.88 + 10, height: 16, labelpos: 'r', labeloffset: 4} : {};
    return {v: numbers.get(edge.from), w: numbers.get(edge.to), minlen: 1, weight: edge.state ? 4 : edge.forward.length ? 2 : 1, edge, ...label};
  });
  // a list without arrows would be one wide row
  if (!edges.length) return column(boxes);
  const ranker = nodes.length > 300 ? {ranker: 'longest-path'} : {};
  dagre.layout(nodes, lines, {nodesep: 26, ranksep: 34, edgesep: 14, ...ranker}, {});
  for (const {box, x, y} of nodes) Object.assign(box, {x: x - box.width / 2, y: y - box.height / 2});
  for (const {edge, points, x, y} of lines) Object.assign(edge, {points, x, y});
  const all = lines.flatMap(({points}) => points);
  const left = Math.min(...boxes.map(({x}) => x), ...all.map(({x}) => x));
  const top = Math.min(...boxes.map(({y}) => y), ...all.map(({y}) => y));
  for (const each of [...boxes, ...all]) Object.assign(each, {x: each.x - left, y: each.y - top});
  for (const edge of edges) if (edge.x !== undefined) Object.assign(edge, {x: edge.x - left, y: edge.y - top});
  const ends = lines.filter(({edge}) => edge.text && edge.x !== undefined).map(({edge, width}) => edge.x + width / 2 + 8);
  return [
    Math.max(...boxes.map((box) => box.x + box.width), ...all.map(({x}) => x + 8), ...ends),
    Math.max(...boxes.map((box) => box.y + box.height), ...all.map(({y}) => y)),
  ];
}

function column(boxes) {
  const rows = Math.ceil(Math.sqrt(boxes.length * 3));
  let x = 0, y = 0, widest = 0, deepest = 0;
  boxes.forEach((box, number) => {
    if (number && number % rows === 0) [x, y, widest] = [x + widest + 20, 0, 0];
    Object.assign(box, {x, y});
    y += box.height + 10;
    widest = Math.max(widest, box.width);
    deepest = Math.max(deepest, y - 10);
  });
  return [x + widest, deepest];
}

/** The shape of what an arrow stands for, where that is one value. */
function labelOf(picture, edge) {
  if (edge.from.parent?.type === 'cell' || edge.forward.length !== 1) return '';
  return picture.values[edge.forward[0]][SHAPE] ?? '';
}

function edgesOf(picture, box) {
  const inner = [...box.edges.values()].map((edge) => ({...edge, points: []}));
  return box.type === 'cell' ? [...inner, ...box.pillEdges] : inner;
}

/** The values at the edge of an opened operation: what it reads from elsewhere, and what it gives. */
function pillsOf(picture, cell) {
  const pills = new Map();
  cell.pillEdges = [];
  const pill = (value, side) => {
    const key = `${side}${value}`;
    if (!pills.has(key)) {
      const made = new Box('pill', pillLabel(picture, value), null);
      const [, shape, role] = picture.values[value];
      Object.assign(made, {parent: cell, depth: cell.depth + 1, key: `${cell.key}/${key}`, value, note: shape ?? ''});
      made.mark = role || (isGradient(picture, value) ? 'gradient' : 'forward');
      pills.set(key, made);
    }
    return pills.get(key);
  };
  const line = (from, to, flow) =>
    cell.pillEdges.push({from, to, forward: [], kept: [], up: [], down: [], points: [], [flow]: [0], state: from.mark === 'r'});
  for (const {node: number} of cell.members) {
    const node = picture.nodes[number], box = picture.boxOf.get(number);
    for (const value of new Set(picture.inputs(node))) {
      if (value < 0 || picture.boxOf.get(picture.maker.get(value))?.parent === cell) continue;
      const role = picture.values[value][ROLE];
      if (role === 'constant' && (node[KIND] !== 'forward' || sizeOf(picture.values[value][SHAPE]) < 2)) continue;
      line(pill(value, 'in'), box, isGradient(picture, value) ? 'down' : node[KIND] === 'forward' ? 'forward' : 'kept');
    }
    for (const value of picture.outputs(node)) {
      if (value < 0 || !leaves(picture, value, cell)) continue;
      line(box, pill(value, 'out'), node[KIND] === 'forward' ? 'forward' : 'down');
    }
  }
  return [...pills.values()];
}

const isGradient = (picture, value) => {
  const maker = picture.nodes[picture.maker.get(value)];
  return maker ? maker[KIND] !== 'forward' : picture.values[value][NAME].endsWith('_grad');
};

function leaves(picture, value, cell) {
  const readers = picture.readers.get(value) ?? [];
  const name = picture.values[value][NAME];
  return readers.some((each) => picture.boxOf.get(each)?.parent !== cell) || (!readers.length && name.endsWith('_grad'));
}

function pillLabel(picture, value) {
  const [name, , role] = picture.values[value];
  if (role === 'r') return 'r';
  const of = name.replace(/_grad$/, '');
  const end = cut(lastPart(of), 24);
  return of !== name ? `∇ ${end}` : end;
}
