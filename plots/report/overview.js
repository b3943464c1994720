/* The first page: what there is, the plot, and the table of cells, both of the cells that the filters leave. */

const view = { off: {}, text: '', across: acrossThere[0] || 'ratio', sort: null, down: false };

function filtered() {
  const text = view.text.toLowerCase();
  return cells.filter((cell) => varying.every(([key]) => !(view.off[key] && view.off[key].has(cell[key]))) &&
    (!text || cellName(cell).toLowerCase().includes(text)));
}

function pills([key, name], changed) {
  const off = view.off[key] || (view.off[key] = new Set()), values = axisValues(key);
  const button = (value) => el('button', { type: 'button', 'aria-pressed': String(!off.has(value)), onclick: (event) => {
    if (off.has(value)) off.delete(value);
    else if (!off.size) values.forEach((other) => other !== value && off.add(other)); /* the first click asks for this one alone */
    else off.add(value);
    if (off.size === values.length) off.clear();
    [...event.currentTarget.parentNode.children].forEach((node, i) => node.setAttribute('aria-pressed', String(!off.has(values[i]))));
    changed();
  } }, shown(key, value));
  return el('fieldset', { 'data-axis': key }, el('legend', {}, name), el('div', { class: 'pills' }, values.map(button)));
}

function filterBar(changed) {
  const box = el('input', { type: 'search', value: view.text, placeholder: 'name contains',
    oninput: () => { view.text = box.value; changed(); } });
  return el('div', { class: 'filters', role: 'group', 'aria-label': 'Filters' }, varying.map((axis) => pills(axis, changed)),
    cells.length > 4 && el('label', { class: 'field' }, el('span', {}, 'cell'), box));
}

/* ---- the table ------------------------------------------------------------------------------------------------------------- */

function whisker(cell, low, high) {
  const interval = intervalOf(cell), at = (share) => (4 + 142 * (100 * share - low) / (high - low)).toFixed(1);
  if (!known(cell.accuracy)) return '';
  return svg('svg', { class: 'whisker', viewBox: '0 0 150 20', 'aria-hidden': 'true' },
    svg('line', { x1: 4, x2: 146, y1: 10, y2: 10, 'stroke-opacity': .25 }),
    interval && svg('line', { class: 'reach', x1: at(interval.low), x2: at(interval.high), y1: 10, y2: 10 }),
    svg('circle', { cx: at(cell.accuracy), cy: 10, r: 4 }));
}

/* Columns: name, what it sorts by, what it shows, whether it is a number. */
function columns(chosen) {
  const bounds = chosen.flatMap((cell) => [cell.accuracy, cell.low, cell.high]).filter(known).map((x) => 100 * x);
  const low = Math.min(...bounds), high = Math.max(...bounds, low + 1);
  const all = [
    ...otherAxes.map(([key, name]) => [name, (c) => c[key], (c) => words(shown(key, c[key])), false]),
    ['frames', (c) => c.frames, (c) => c.frames || '', true],
    ['compressor', (c) => c.label, (c) => el('a', { href: `#/cell/${c.index}` }, words(c.label)), false],
    ['accuracy %', (c) => c.accuracy, (c) => percent(c.accuracy), true],
    ['95 % interval', (c) => c.low, (c) => range(intervalOf(c)), true],
    [`${percent(low / 100, 0)}\u2013${percent(high / 100, 0)} %`, null, (c) => whisker(c, low, high), false],
    ['right / n', (c) => c.n_correct, (c) => `${count(c.n_correct)} / ${count(c.n_answered - c.n_failed)}`, true],
    ['failed', (c) => c.n_failed, (c) => (c.n_failed ? el('span', { class: 'lost' }, count(c.n_failed)) : '0'), true],
    ['tokens', tokensOf, (c) => number(tokensOf(c)), true],
    ['kept %', (c) => c.ratio, (c) => percent(c.ratio), true],
    ['alone, ms', alone, (c) => number(alone(c)), true],
  ];
  return all.filter(([, by]) => !by || chosen.some((cell) => known(by(cell))));
}

function sorted(chosen, by) {
  const order = (a, b) => (known(a) ? (known(b) ? (a < b ? -1 : a > b ? 1 : 0) : -1) : known(b) ? 1 : 0);
  const flip = (a, b) => (known(by(a)) && known(by(b)) && view.down ? -1 : 1) * order(by(a), by(b));
  return by ? [...chosen].sort((a, b) => flip(a, b) || a.index - b.index) : chosen;
}

const LEGEND = '95 % interval: Wilson\u2019s over videos, as questions on one video are not independent. n: questions answered. ' +
  'Tokens: mean visual tokens per question, markers counted; kept: their share of those without compression; alone: time of a ' +
  'question by itself.';

function cellTable(chosen, changed) {
  const all = columns(chosen), at = all.find(([name]) => name === view.sort);
  const head = ([name, by, , isNumber]) => {
    const sort = name === view.sort ? (view.down ? 'descending' : 'ascending') : 'none';
    const click = () => { view.down = name === view.sort ? !view.down : isNumber; view.sort = name; changed(name); };
    return el('th', { scope: 'col', class: isNumber && 'number', 'aria-sort': by && sort }, by ? el('button',
      { type: 'button', 'data-sort': name, onclick: click }, name) : name);
  };
  const row = (cell) => el('tr', { 'data-cell': cell.index }, all.map(([, , show, isNumber]) => el('td', { class: isNumber && 'number' },
    show(cell))));
  return el('div', { class: 'scroll' }, el('table', { id: 'cells' },
    el('caption', {}, `${plural(chosen.length, 'cell')}. ${LEGEND}`),
    el('thead', {}, el('tr', {}, all.map(head))), el('tbody', {}, sorted(chosen, at && at[1]).map(row))));
}

/* ---- the page -------------------------------------------------------------------------------------------------------------- */

function factsCard() {
  const answers = cells.reduce((n, cell) => n + cell.n_answered, 0), failed = cells.reduce((n, cell) => n + cell.n_failed, 0);
  const best = cells.filter((cell) => known(cell.accuracy)).sort((a, b) => b.accuracy - a.accuracy)[0];
  const fact = (name, value, note) => el('div', { class: 'fact' }, el('dt', {}, name), el('dd', {}, value, note && el('small', {}, note)));
  return el('section', { class: 'card', 'aria-label': 'In short' }, el('dl', { class: 'facts' },
    fact('cells', count(cells.length), varying.length ? `over ${varying.map(([, name]) => name).join(', ')}` : 'a single setting'),
    fact('questions', count(manifests.reduce((n, m) => n + m.n, 0)),
      `on ${plural(manifests.reduce((n, m) => n + m.videos.length, 0), 'video')}`),
    fact('answers', count(answers), failed ? `${count(failed)} failed` : 'none failed'),
    best && fact('most accurate', percentSign(best.accuracy), words(cellName(best)))));
}

function overviewPage(main) {
  const plotRoom = el('div', {}), tableRoom = el('div', {});
  const redraw = (focus) => {
    const chosen = filtered();
    plotRoom.replaceChildren(...[drawPlot(chosen, view.across)].flat().filter(Boolean));
    tableRoom.replaceChildren(chosen.length ? cellTable(chosen, redraw) : el('p', { class: 'soft' }, 'No cell is left by the filters.'));
    if (focus) [...tableRoom.querySelectorAll('th button')].find((button) => button.dataset.sort === focus).focus();
  };
  const across = select('across', acrossThere.map((key) => [key, ACROSS[key].name]), view.across,
    (key) => { view.across = key; redraw(); });
  main.append(factsCard(), (varying.length > 0 || cells.length > 4) && el('section',
    { class: 'card filters-card', 'aria-label': 'Filters' }, filterBar(() => redraw())) || '',
    el('section', { class: 'card' }, el('div', { class: 'card-head' }, el('h2', {}, 'Accuracy against cost'), acrossThere.length > 1
      && across), plotRoom),
    el('section', { class: 'card long' }, el('h2', {}, 'Cells'), tableRoom));
  redraw();
}
