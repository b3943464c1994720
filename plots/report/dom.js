'use strict';
/* Making elements. Text from the store only ever becomes text nodes and attribute values: nothing here parses HTML. */

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child);
  }
  return node;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/* Text of strangers: its direction stays its own. */
const words = (text, tag = 'span', more = '') => el(tag, { class: `words ${more}`, dir: 'auto' }, text);

const card = (title, ...children) => el('section', { class: 'card' }, title && el('h2', {}, title), children);

function select(label, options, value, onchange) {
  const box = el('select', { onchange: () => onchange(box.value) },
    options.map(([key, text]) => el('option', { value: key, selected: String(key) === String(value) }, text)));
  return el('label', { class: 'field' }, el('span', {}, label), box);
}

/* ---- numbers as people read them ------------------------------------------------------------------------------------------- */

const known = (x) => x !== null && x !== undefined && !Number.isNaN(x);

/* Halves go to the even digit, as C's printf has them: the same number reads the same here and in a terminal. */
function fixed(x, digits) {
  const scaled = x * 10 ** digits, below = Math.floor(scaled);
  return ((scaled - below === 0.5 ? below + (below % 2 ? 1 : 0) : Math.round(scaled)) / 10 ** digits).toFixed(digits);
}

const percent = (share, digits = 1) => (known(share) ? fixed(100 * share, digits) : '');
const percentSign = (share) => (known(share) ? `${percent(share)}\u202f%` : '\u2013');
const points = (share) => `${share < 0 ? '\u2212' : '+'}${fixed(Math.abs(100 * share), 1)}`;
const count = (n) => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
const plural = (n, one, many = `${one}s`) => `${count(n)}\u00a0${n === 1 ? one : many}`;
const number = (x) => (!known(x) ? '' : x >= 100 ? count(Math.round(x)) : x >= 10 ? x.toFixed(1) : x.toPrecision(2));
const range = (i) => (i ? `${percent(i.low)}\u2013${percent(i.high)}` : '');
