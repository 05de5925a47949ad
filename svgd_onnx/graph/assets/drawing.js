/* The picture itself: boxes and arrows as SVG. Names become text, never markup. */

const SVG = 'http://www.w3.org/2000/svg';

function svg(tag, attributes, parent, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

/** Draws a box at a place, and all that is open in it. */
function draw(picture, box, layer, x, y, hooks) {
  box.left = x;
  box.top = y;
  const group = svg('g', {transform: `translate(${x} ${y})`, class: classOf(picture, box)}, layer);
  if (box.depth) frame(picture, box, group, hooks);
  if (!box.open) return;
  const arrows = svg('g', {transform: `translate(${x} ${y})`}, layer);
  for (const edge of box.drawn) drawEdge(edge, arrows);
  for (const each of box.shown) draw(picture, each, layer, x + each.x, y + each.y, hooks);
}

function classOf(picture, box) {
  if (!box.depth) return 'root';
  const kind = box.node >= 0 && box.type === 'node' ? picture.nodes[box.node][KIND] : box.type === 'pill' ? box.mark : 'forward';
  const names = ['box', box.type, box.open ? 'open' : 'closed', box.depth % 2 ? 'odd' : 'even', `kind-${kind.replace(' ', '-')}`];
  if (box.hasT && box.type !== 'node') names.push('has-t');
  if (box.node >= 0 && box.type === 'node' && picture.nodes[box.node][STAGE] === BEFORE) names.push('goes');
  return names.join(' ');
}

function frame(picture, box, group, hooks) {
  const round = box.type === 'pill' ? box.height / 2 : 7;
  svg('rect', {class: 'card', width: box.width, height: box.height, rx: round}, group);
  if (box.type !== 'pill' && !box.open) svg('path', {class: 'strip', d: strip(box, 0)}, group);
  if (box.hasT && box.type !== 'node' && !box.open) svg('path', {class: 'strip-t', d: strip(box, box.width - 5)}, group);
  const start = box.openable ? PADDING + 15 : PADDING + 2;
  if (box.openable) svg('path', {class: 'handle', d: box.open ? 'M10 11h9l-4.500 6z' : 'M11 9v9l6-4.500z'}, group);
  (box.open ? [box.title] : box.lines).forEach((line, row) => drawLine(line, group, start, PADDING + 10 + row * LINE));
  svg('title', {}, group, hooks.tip(box));
  group.setAttribute('tabindex', '0');
  group.setAttribute('role', 'button');
  if (box.openable) group.setAttribute('aria-expanded', box.open);
  group.setAttribute('aria-label', hooks.tip(box));
  group.addEventListener('click', (event) => hooks.click(box, event));
  group.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    hooks.click(box, event);
  });
  box.element = group;
}

const strip = (box, x) => `M${x} 7v${box.height - 14}h5v${14 - box.height}z`;

function drawLine(line, group, x, y) {
  for (const {text, bold, dim, mark} of line) {
    if (mark) {
      const isT = mark === 'T';
      svg('circle', {class: `mark mark-${mark}`, cx: x + (isT ? 6.5 : 5), cy: y - 4, r: isT ? 6.5 : 4.5}, group);
      if (isT) svg('text', {class: 'letter', x: x + 6.5, y: y - 0.5}, group, 'T');
      x += roomFor(mark);
    }
    svg('text', {x, y, class: bold ? 'bold' : dim ? 'dim' : 'plain'}, group, text);
    x += widthOf(text, bold) + 9;
  }
}

/** Forward arrows run down; the gradient's run up beside them. */
function drawEdge(edge, parent) {
  if (!edge.points.length) return;
  const both = (edge.forward.length || edge.kept.length) && (edge.up.length || edge.down.length);
  const shift = both ? 4 : 0;
  const path = (points, name, dx) =>
    svg('path', {d: curve(points, dx), class: `edge ${name}`, 'marker-end': `url(#${name.split(' ')[0]})`}, parent);
  if (edge.forward.length) path(edge.points, 'flow', -shift);
  else if (edge.kept.length) path(edge.points, edge.state ? 'state' : 'kept', -shift);
  if (edge.up.length) path([...edge.points].reverse(), 'back', shift);
  if (edge.down.length) path(edge.points, edge.virtual ? 'virtual' : 'back', shift);
  if (edge.text && edge.x !== undefined) svg('text', {x: edge.x, y: edge.y + 4, class: 'shape'}, parent, edge.text);
}

function curve(points, dx) {
  const at = ({x, y}) => `${(x + dx).toFixed(1)} ${y.toFixed(1)}`;
  const middle = (a, b) => ({x: (a.x + b.x) / 2, y: (a.y + b.y) / 2});
  let path = `M${at(points[0])}`;
  for (let index = 1; index < points.length - 1; index++) {
    const next = index + 2 < points.length ? middle(points[index], points[index + 1]) : points[index + 1];
    path += `Q${at(points[index])} ${at(next)}`;
  }
  return points.length > 2 ? path : `${path}L${at(points.at(-1))}`;
}

/** Arrow heads, one for each kind of arrow. */
function drawMarkers(parent) {
  const definitions = svg('defs', {}, parent);
  for (const name of ['flow', 'kept', 'state', 'back', 'virtual', 'link']) {
    const marker = svg('marker', {
      id: name, viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto', class: `head ${name}`,
    }, definitions);
    svg('path', {d: 'M0 0.500L8 4L0 7.500z'}, marker);
  }
}
