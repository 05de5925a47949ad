/* The graph as boxes within boxes: layers, operations with their gradients, nodes. */

const [NAME, OPERATOR, KIND, OWNER, STAGE, INPUTS, OUTPUTS, ATTRIBUTES, INPUTS_BEFORE, OUTPUTS_BEFORE] = Array(10).keys();
const [SHAPE, ROLE, NOTE] = [1, 2, 3];
const AFTER = 1, BEFORE = 2;
const LEARNED = ['trained', 'frozen', 'statistic'];
const ASIDE = {check: 'check for finite numbers', update: 'update of parameters'};
const SHARED = 'gradients of shared parameters';

class Box {
  /** type: 'group', 'cell' (an operation and its gradient), 'node' or 'pill' (a value at the edge of a cell). */
  constructor(type, label, parent) {
    Object.assign(this, {type, label, parent, members: [], open: false, node: -1, edges: new Map(), stale: true});
    this.key = parent ? `${parent.key}/${parent.members.length}:${label}` : '';
    this.depth = parent ? parent.depth + 1 : 0;
    parent?.members.push(this);
  }
  get openable() { return this.type === 'group' || this.type === 'cell'; }
  *within() {
    yield this;
    for (const each of this.members) yield* each.within();
  }
}

/** What is drawn of a graph at one of its stages, before T or with it. */
class Picture {
  constructor(content, stage) {
    Object.assign(this, {content, stage, values: content.values});
    this.nodes = content.nodes.map((node) => (node[STAGE] === 0 || node[STAGE] === stage ? node : null));
    this.maker = new Map();
    this.readers = new Map();
    this.owned = new Map();
    this.boxOf = new Map();
    this.nodes.forEach((node, number) => node && this.note(node, number));
    this.root = new Box('group', '', null);
    this.root.open = true;
    this.grow(this.root, content.tree);
    this.growAside();
    this.connect();
    for (const box of this.root.within()) this.count(box);
  }

  inputs(node) { return (this.stage === BEFORE && node[INPUTS_BEFORE]) || node[INPUTS]; }
  outputs(node) { return (this.stage === BEFORE && node[OUTPUTS_BEFORE]) || node[OUTPUTS]; }

  note(node, number) {
    for (const value of this.outputs(node)) if (value >= 0) this.maker.set(value, number);
    for (const value of new Set(this.inputs(node))) {
      if (value >= 0) append(this.readers, value, number);
    }
    if (node[OWNER] >= 0 && node[OWNER] !== number) append(this.owned, node[OWNER], number);
  }

  grow(box, members) {
    for (const member of members) {
      if (typeof member === 'number') this.growOperation(box, member, '');
      else if (member[1].length === 1 && typeof member[1][0] === 'number') this.growOperation(box, member[1][0], member[0]);
      else this.grow(new Box('group', member[0], box), member[1]);
    }
  }

  /** An operation, under the name of its layer if that is nothing else. */
  growOperation(box, number, label) {
    if (!this.nodes[number]) return;
    const owned = this.owned.get(number) ?? [];
    const place = owned.length ? new Box('cell', label || shortName(this.nodes[number]), box) : box;
    for (const each of [number, ...owned]) this.growNode(place, each, owned.length ? '' : label);
    if (owned.length) place.node = number;
  }

  growNode(box, number, label) {
    const made = new Box('node', label || shortName(this.nodes[number]), box);
    made.node = number;
    this.boxOf.set(number, made);
  }

  /** Nodes that belong to no operation, whose arrows would lead from everywhere and are not drawn. */
  growAside() {
    const groups = new Map();
    this.nodes.forEach((node, number) => {
      if (node && !this.boxOf.has(number)) append(groups, ASIDE[node[KIND]] ?? SHARED, number);
    });
    for (const [label, numbers] of groups) {
      const box = new Box('group', label, this.root);
      box.aside = true;
      for (const number of numbers) this.growNode(box, number, '');
    }
  }

  /** An arrow for each value, between the two members of the innermost box that both its ends lie in. */
  connect() {
    const flows = [[], [], []];
    this.nodes.forEach((node, reader) => {
      for (const value of node ? new Set(this.inputs(node)) : []) {
        const maker = this.maker.get(value);
        if (maker === undefined) continue;
        const kinds = [this.nodes[maker][KIND], node[KIND]];
        flows[kinds[0] !== 'forward' ? 2 : kinds[1] === 'forward' ? 0 : 1].push([maker, reader, value]);
      }
    });
    flows.forEach((flow, order) => {
      for (const [maker, reader, value] of flow) this.connectOne(['forward', 'kept', 'gradient'][order], maker, reader, value);
    });
  }

  connectOne(flow, maker, reader, value) {
    let [from, to] = [this.boxOf.get(maker), this.boxOf.get(reader)];
    while (from.depth > to.depth) from = from.parent;
    while (to.depth > from.depth) to = to.parent;
    while (from.parent !== to.parent) [from, to] = [from.parent, to.parent];
    if (from === to || from.aside || to.aside) return;
    const {edges, type} = from.parent;
    const [ahead, back] = [`${from.key}>${to.key}`, `${to.key}>${from.key}`];
    // gradients run against the arrows of what they are of
    const against = flow === 'gradient' && type !== 'cell' && (edges.has(back) || !edges.has(ahead));
    const key = against ? back : ahead;
    if (!edges.has(key)) {
      edges.set(key, {from: against ? to : from, to: against ? from : to, forward: [], kept: [], up: [], down: []});
    }
    const edge = edges.get(key);
    const values = edge[flow === 'gradient' ? (against ? 'up' : 'down') : flow];
    if (!values.includes(value)) values.push(value);
    if (flow === 'gradient' && isVirtual(this.nodes[maker])) edge.virtual = true;
  }

  /** What a closed box says of what is in it. */
  count(box) {
    const numbers = [...box.within()].filter((each) => each.type === 'node').map((each) => each.node);
    const kinds = numbers.map((number) => this.nodes[number][KIND]);
    box.nodes = numbers;
    box.operations = kinds.filter((kind) => kind === 'forward').length;
    box.gradients = kinds.length - box.operations;
    box.hasT = kinds.includes('T');
    const read = new Set(numbers.flatMap((number) => this.inputs(this.nodes[number])));
    box.parameters = [...read].filter((value) => value >= 0 && LEARNED.includes(this.values[value][ROLE]));
    box.states = [...read].filter((value) => value >= 0 && this.values[value][ROLE] === 'r');
  }
}

const isVirtual = (node) => node[KIND] === 'T' || node[KIND] === 'virtual gradient';

function append(map, key, value) {
  if (map.has(key)) map.get(key).push(value);
  else map.set(key, [value]);
}

const lastPart = (name) => name.split('/').filter(Boolean).at(-1) ?? name;

/** The end of a node's name, unless that is its operator with a number behind it. */
function shortName(node) {
  const end = lastPart(node[NAME]);
  return end.replace(/_\d+$/, '') === node[OPERATOR] ? '' : end;
}

/** A number of parameters: 7.1 M. */
function amount(count) {
  for (const [unit, sign] of [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (count >= unit) return `${(count / unit).toPrecision(3)} ${sign}`;
  }
  return String(count);
}

function sizeOf(shape) {
  return (shape ?? '').split('×').reduce((product, axis) => product * (Number(axis) || 1), 1);
}
