/* The page: what is open, where one looks, and what buttons do. */

const content = JSON.parse(document.getElementById('graph').textContent);
const canvas = document.getElementById('picture');
const panel = new Panel(document.getElementById('panel'), reveal);
const view = {x: 0, y: 0, scale: 1};
const FEW = 32, FEW_LAYERS = 48, SMALLEST = 0.01;
let picture = new Picture(content, AFTER);
let chosen = null;
let layer, links;

const hooks = {
  tip: (box) => {
    if (box.type === 'pill') return `${picture.values[box.value][NAME]} ${box.note}`;
    return box.node >= 0 ? `${picture.nodes[box.node][OPERATOR]} ${picture.nodes[box.node][NAME]}` : box.label;
  },
  click: (box, event) => {
    event.stopPropagation();
    if (dragged) return;
    if (box.type === 'pill') {
      const other = picture.maker.get(box.value) ?? -1;
      if (other >= 0) reveal(other);
      return;
    }
    if (box.openable) toggle(box);
    choose(box);
  },
};

function render() {
  arrange(picture, picture.root);
  canvas.replaceChildren();
  drawMarkers(canvas);
  layer = svg('g', {}, canvas);
  draw(picture, picture.root, layer, 0, 0, hooks);
  links = svg('g', {}, layer);
  look();
  mark();
}

function look() { layer.setAttribute('transform', `translate(${view.x} ${view.y}) scale(${view.scale})`); }

/** Opens or closes a box, which stays where it is on the screen. */
function toggle(box) {
  box.open = !box.open;
  for (let each = box; each; each = each.parent) each.stale = true;
  keeping(box, () => box, render);
  box.element.focus({preventScroll: true});
}

/** Draws anew so that a box stays where it is: the one that stands for it afterwards. */
function keeping(box, after, redraw) {
  const [x, y] = [box.left, box.top];
  redraw();
  const same = after();
  if (!same) return;
  view.x += (x - same.left) * view.scale;
  view.y += (y - same.top) * view.scale;
  look();
}

/** Opens layers from the outside in, the largest first, and then gradients with T, while all is easily seen at once. */
function openSome() {
  let count = picture.root.members.length;
  const opened = (boxes, most, cost) => boxes.filter((box) => {
    if (count + cost * box.members.length > most) return false;
    count += cost * box.members.length - 1;
    return box.open = true;
  });
  const size = (box) => box.nodes.length;
  let level = picture.root.members;
  while (level.length) {
    const groups = level.filter((box) => box.type === 'group' && !box.aside && box.label !== 'loss');
    level = opened(groups.sort((a, b) => size(b) - size(a)), FEW_LAYERS, 1).flatMap((box) => box.members);
  }
  const cells = [...picture.root.within()].filter((box) => box.type === 'cell' && box.hasT && isSeen(box));
  opened(cells, FEW, 2);
  for (const box of picture.root.within()) box.stale = true;
}

const isSeen = (box) => visible(box) === box;

function setAll(open) {
  for (const box of picture.root.within()) {
    if (box.depth && box.openable && (box.type === 'group' || !open)) box.open = open;
    box.stale = true;
  }
  render();
  start();
}

/** All of the graph. */
function fit() {
  const {width, height} = canvas.getBoundingClientRect();
  const {width: w, height: h} = picture.root;
  place(Math.min((width - 40) / w, (height - 40) / h, 1.2), w);
}

/** All of a small graph; of a large one better the beginning, in letters that can be read, than all of it as a line. */
function start() {
  const {width} = canvas.getBoundingClientRect();
  const {width: w, flowWidth} = picture.root;
  fit();
  if (view.scale < 0.85) place(Math.max(view.scale, Math.min(0.85, (width - 20) / flowWidth), 0.5), flowWidth);
  if (view.x + w * view.scale < width) place(view.scale, w);
}

/** At a scale, in the middle; from the top on where it is too high. */
function place(scale, w) {
  const {width, height} = canvas.getBoundingClientRect();
  view.scale = Math.max(scale, SMALLEST);
  view.x = (width - w * view.scale) / 2;
  view.y = Math.max((height - picture.root.height * view.scale) / 2, 20);
  look();
}

/** Opens whatever a node, or a layer, lies in, and looks at it. */
function reveal(what) {
  const box = what instanceof Box ? what : picture.boxOf.get(what);
  if (!box) return;
  for (let each = box.parent; each; each = each.parent) Object.assign(each, {open: true, stale: true});
  render();
  const {width, height} = canvas.getBoundingClientRect();
  view.scale = Math.max(view.scale, 0.8);
  view.x = width / 2 - (box.left + box.width / 2) * view.scale;
  view.y = height / 2 - (box.top + Math.min(box.height, height / view.scale - 40) / 2) * view.scale;
  look();
  choose(box);
}

function choose(box) {
  chosen = box;
  mark();
  if (box.node >= 0) panel.node(picture, box.node);
  else panel.group(picture, box);
}

/** The frame around what was chosen, and lines to what it reads and what reads it, wherever that is. */
function mark() {
  for (const each of canvas.querySelectorAll('.chosen')) each.classList.remove('chosen');
  links.replaceChildren();
  if (!chosen?.element?.isConnected) return;
  chosen.element.classList.add('chosen');
  if (chosen.node < 0 || chosen.open) return;
  const nodes = new Set(chosen.nodes);
  const ends = new Set();
  for (const number of nodes) {
    const node = picture.nodes[number];
    for (const value of picture.inputs(node)) if (picture.maker.has(value)) ends.add([picture.maker.get(value), true]);
    for (const value of picture.outputs(node)) for (const each of picture.readers.get(value) ?? []) ends.add([each, false]);
  }
  const drawn = new Set([chosen]);
  for (const [number, comesIn] of ends) {
    const box = nodes.has(number) ? chosen : visible(picture.boxOf.get(number));
    if (drawn.has(box) || box.aside || box.parent === chosen.parent) continue;
    drawn.add(box);
    const [a, b] = comesIn ? [box, chosen] : [chosen, box];
    svg('path', {class: 'edge link', d: `M${border(a, b)}L${border(b, a)}`, 'marker-end': 'url(#link)'}, links);
  }
}

/** Where the line from a box to another leaves it; what is written in it stays free. */
function border(box, other) {
  const center = ({left, top, width, height, open}) => [left + width / 2, top + (open ? HEADER : height) / 2];
  const [[x, y], [toX, toY]] = [center(box), center(other)];
  const half = (box.open ? HEADER : box.height) / 2;
  const share = Math.min(1, box.width / 2 / Math.abs(toX - x), half / Math.abs(toY - y));
  return `${x + (toX - x) * share} ${y + (toY - y) * share}`;
}

function visible(box) {
  let found = box;
  for (let each = box.parent; each; each = each.parent) if (!each.open) found = each;
  return found;
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) { panel.overview(picture); return; }
  const has = (...names) => names.some((name) => name.toLowerCase().includes(wanted));
  const nodes = [...picture.nodes.keys()].filter((each) => picture.nodes[each] && has(picture.nodes[each][NAME], picture.nodes[each][OPERATOR]));
  const layers = [...picture.root.within()].filter((box) => box.depth && box.type === 'group' && has(pathOf(box)) && !has(pathOf(box.parent)));
  panel.found(picture, `“${text.trim()}”`, nodes, valuesWhere(([name, , role]) => role && role !== 'constant' && has(name)), layers);
}

/** A layer's name with those around it, as parameters have it. */
const pathOf = (box) => (box.parent?.depth ? `${pathOf(box.parent)}.${box.label}` : box.label);

const valuesWhere = (fits) =>
  [...picture.values.keys()].filter((each) => fits(picture.values[each]) && (picture.readers.has(each) || picture.maker.has(each)));

/** What colours mean, and lists of what has them. */
function legend() {
  const kinds = ['forward', 'gradient', 'T', 'virtual gradient', 'update', 'check'];
  const roles = ['trained', 'frozen', 'statistic', 'constant', 'r', 'input', 'label'];
  const entry = (name, count, show) => {
    const button = html('button', '', undefined, html('i', `dot mark-${name.replace(' ', '-')}`), `${name} `, html('small', 'dim', count.toLocaleString('en')));
    button.title = 'List them';
    button.addEventListener('click', show);
    return button;
  };
  const entries = kinds.flatMap((kind) => {
    const found = [...picture.nodes.keys()].filter((each) => picture.nodes[each]?.[KIND] === kind);
    return found.length ? [entry(kind, found.length, () => panel.found(picture, kind, found, []))] : [];
  });
  const values = roles.flatMap((role) => {
    const found = valuesWhere((value) => value[ROLE] === role);
    return found.length ? [entry(role, found.length, () => panel.found(picture, role, [], found))] : [];
  });
  const row = (name, buttons) => html('div', '', undefined, html('span', 'dim', name), ...buttons);
  document.getElementById('legend').replaceChildren(row('Nodes', entries), row('Tensors', values));
}

/** The other graph, opened as this one is, and at the same place. */
function setStage(stage) {
  const open = new Set([...picture.root.within()].filter((box) => box.open).map((box) => box.key));
  const {width, height} = canvas.getBoundingClientRect();
  const far = (box) => Math.hypot(view.x + box.left * view.scale - width / 2, view.y + box.top * view.scale - height / 2);
  const seen = [...picture.root.within()].filter((box) => box.openable && isSeen(box));
  const middle = seen.reduce((nearest, box) => (far(box) < far(nearest) ? box : nearest));
  keeping(middle, () => [...picture.root.within()].find((box) => box.key === middle.key), () => {
    picture = new Picture(content, stage);
    for (const box of picture.root.within()) box.open ||= open.has(box.key);
    chosen = null;
    render();
  });
  legend();
  panel.overview(picture);
}

function zoom(factor, x, y) {
  const scale = Math.min(4, Math.max(SMALLEST, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  look();
}

function zoomAtCenter(factor) {
  const {width, height} = canvas.getBoundingClientRect();
  zoom(factor, width / 2, height / 2);
}

let drag = null, dragged = false;
canvas.addEventListener('pointerdown', (event) => { drag = {x: event.clientX, y: event.clientY}; dragged = false; });
window.addEventListener('pointermove', (event) => {
  if (!drag || !event.buttons) return;
  const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
  if (!dragged && Math.hypot(dx, dy) < 4) return;
  dragged = true;
  view.x += dx;
  view.y += dy;
  drag = {x: event.clientX, y: event.clientY};
  look();
});
window.addEventListener('pointerup', () => { drag = null; });
canvas.addEventListener('click', () => { if (!dragged) { chosen = null; mark(); panel.overview(picture); } });
canvas.addEventListener('wheel', (event) => {
  event.preventDefault();
  const {left, top} = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), event.clientX - left, event.clientY - top);
}, {passive: false});

const on = (id, what, act) => document.getElementById(id).addEventListener(what, act);
on('search', 'input', (event) => search(event.target.value));
on('search', 'keydown', (event) => { if (event.key === 'Enter') document.querySelector('#panel .entry:enabled')?.click(); });
on('open', 'click', () => setAll(true));
on('close', 'click', () => setAll(false));
on('fit', 'click', fit);
on('in', 'click', () => zoomAtCenter(1.3));
on('out', 'click', () => zoomAtCenter(1 / 1.3));
document.getElementById('stages').hidden = !content.before;
for (const each of document.getElementsByName('stage')) each.addEventListener('change', () => setStage(Number(each.value)));
document.getElementById('title').textContent = Object.values(content.facts)[0] ?? '';

openSome();
render();
start();
legend();
panel.overview(picture);
document.documentElement.dataset.ready = 'yes';
