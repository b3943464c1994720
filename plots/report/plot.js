/* Accuracy against cost: one mark per cell with its interval, cells of one method joined. A single stop of the Tab key; arrows go from mark
   to mark, Enter opens the cell. The table below it says the same to those who do not see it. */

const COLOURS = 8;
const SHAPES = [
  'M-5.2,0a5.2,5.2 0 1,0 10.4,0a5.2,5.2 0 1,0 -10.4,0', 'M-4.8,-4.8h9.6v9.6h-9.6z', 'M0,-6.6L6.6,0L0,6.6L-6.6,0z', 'M0,-6L6.2,4.8H-6.2z',
  'M0,6L6.2,-4.8H-6.2z', 'M-2,-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z', 'M0,-6.4L6.1,-2L3.8,5.2H-3.8L-6.1,-2z',
];

const alone = (cell) => (cell.alone_ms.some(known) ? cell.alone_ms.reduce((sum, ms) => sum + (ms || 0), 0) : null);
const tokensOf = (cell) => (known(cell.tokens_visual) && cell.tokens_before > 0 ? cell.tokens_visual + (cell.tokens_marker || 0) : null);

const ACROSS = {
  ratio: { name: 'visual tokens kept, %', of: (cell) => (known(cell.ratio) ? 100 * cell.ratio : null) },
  tokens: { name: 'visual tokens per question', of: tokensOf },
  time: { name: 'time per question by itself, ms', of: (cell) => alone(cell) || null },
  frames: { name: 'frames', of: (cell) => cell.frames || null },
};

const acrossThere = Object.keys(ACROSS).filter((key) => cells.some((cell) => known(ACROSS[key].of(cell))));

/* Cells of one compressor in one setting are a series, in the order in which they first come; its colour and shape stay with it whatever
   is filtered. */
const seriesName = (cell) => `${cell.compressor}, ${plural(cell.frames, 'frame')}${apart(cell) ? `, ${apart(cell)}` : ''}`;
const methods = [...new Set(cells.map((cell) => cell.compressor))].filter((name) => name !== 'none');
const seriesNames = [null, ...methods].flatMap((method) => [...new Set(cells.filter((cell) => cell.compressor === (method
  || 'none')).map(seriesName))]);
const settings = [...new Set(cells.map((cell) => `${cell.frames}|${apart(cell)}`))];

function styleOf(cell) {
  const method = methods.indexOf(cell.compressor);
  return {
    colour: method < 0 ? 'var(--base)' : `var(--s${method % COLOURS})`,
    shape: SHAPES[settings.indexOf(`${cell.frames}|${apart(cell)}`) % SHAPES.length],
  };
}

/* Round steps for an axis: five or so. */
function ticks(low, high) {
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough);
  const first = Math.floor(low / step + 1e-9) * step, last = Math.ceil(high / step - 1e-9) * step;
  return Array.from({ length: Math.round((last - first) / step) + 1 }, (_, i) => Number((first + i * step).toPrecision(12)));
}

function placeMarks(chosen, across) {
  const marks = chosen.map((cell) => ({ cell, x: across.of(cell), y: 100 * cell.accuracy, bar: intervalOf(cell) }))
    .filter((mark) => known(mark.x) && known(mark.cell.accuracy))
    .sort((a, b) => a.x - b.x || a.cell.index - b.cell.index);
  return { marks, left: chosen.length - marks.length };
}

const ROOM = { width: 1000, height: 440, left: 62, right: 18, top: 12, bottom: 52 };

function scales(marks) {
  const xs = marks.map((m) => m.x), ys = marks.flatMap((m) => [m.y, m.bar ? 100 * m.bar.low : m.y, m.bar ? 100 * m.bar.high : m.y]);
  const xTicks = ticks(Math.min(0, ...xs), Math.max(...xs, 1)), yLow = Math.min(...ys), yHigh = Math.max(...ys);
  const yTicks = ticks(Math.max(0, yLow - 1), Math.min(100, Math.max(yHigh + 1, yLow + 5)));
  const x0 = xTicks[0], x1 = xTicks[xTicks.length - 1], y0 = yTicks[0], y1 = yTicks[yTicks.length - 1];
  return {
    xTicks, yTicks,
    px: (x) => ROOM.left + 14 + (x - x0) / (x1 - x0) * (ROOM.width - ROOM.left - ROOM.right - 28),
    py: (y) => ROOM.height - ROOM.bottom - (y - y0) / (y1 - y0) * (ROOM.height - ROOM.top - ROOM.bottom),
  };
}

/* Marks that would hide each other stand side by side. */
function moveApart(marks, scale) {
  const taken = [];
  for (const mark of marks) {
    mark.px = scale.px(mark.x);
    mark.py = scale.py(mark.y);
    let steps = 0;
    const hidden = () => taken.some((other) => Math.abs(other.px - mark.px) < 7 && Math.abs(other.py - mark.py) < 90);
    for (; hidden() && steps < 12; steps++) mark.px = scale.px(mark.x) + (steps % 2 ? 1 : -1) * 8 * Math.ceil((steps + 1) / 2);
    taken.push(mark);
  }
}

function drawAxes(scale, name) {
  const right = ROOM.width - ROOM.right, bottom = ROOM.height - ROOM.bottom;
  const zero = scale.yTicks[0] > 0 ? ' (axis does not start at 0)' : '';
  return svg('g', { 'aria-hidden': 'true' },
    scale.yTicks.map((y) => [svg('line', { class: 'grid', x1: ROOM.left, x2: right, y1: scale.py(y), y2: scale.py(y) }),
      svg('text', { x: ROOM.left - 8, y: scale.py(y) + 4.5, 'text-anchor': 'end' }, String(y))]),
    scale.xTicks.map((x) => [svg('line', { class: 'grid', x1: scale.px(x), x2: scale.px(x), y1: bottom, y2: bottom + 5 }),
      svg('text', { x: scale.px(x), y: bottom + 20, 'text-anchor': 'middle' }, count(x))]),
    svg('text', { class: 'axis-name', x: (ROOM.left + right) / 2, y: ROOM.height - 6, 'text-anchor': 'middle' }, name),
    svg('text', { class: 'axis-name', transform: `translate(16,${(ROOM.top + bottom) / 2}) rotate(-90)`, 'text-anchor': 'middle' },
      `accuracy, %${zero}`));
}

function drawLines(marks) {
  return seriesNames.map((name) => marks.filter((mark) => seriesName(mark.cell) === name)).filter((of) => of.length > 1).map((of) =>
    svg('polyline', { class: 'series-line', 'data-series': seriesName(of[0].cell), style: `stroke:${styleOf(of[0].cell).colour}`,
      points: of.map((mark) => `${mark.px.toFixed(1)},${mark.py.toFixed(1)}`).join(' ') }));
}

const sayMark = (mark, across) => `${cellName(mark.cell)}: accuracy ${percent(mark.cell.accuracy)} percent` +
  `${mark.bar ? `, 95 percent interval ${percent(mark.bar.low)} to ${percent(mark.bar.high)}` : ''}, ${number(mark.x)} ${across.name}`;

function drawMark(mark, scale, across) {
  const { colour, shape } = styleOf(mark.cell), hollow = mark.cell.compressor === 'none';
  return svg('g', { class: 'point', role: 'link', tabindex: '-1', 'data-cell': mark.cell.index, 'data-series': seriesName(mark.cell),
    'aria-label': sayMark(mark, across) },
    mark.bar && svg('line', { class: 'bar', style: `stroke:${colour}`, x1: mark.px, x2: mark.px, y1: scale.py(100 * mark.bar.low),
      y2: scale.py(100 * mark.bar.high) }),
    svg('circle', { class: 'ring', cx: mark.px, cy: mark.py, r: 10 }),
    svg('circle', { cx: mark.px, cy: mark.py, r: 12, fill: 'transparent' }),
    svg('path', { class: 'mark', d: shape, transform: `translate(${mark.px.toFixed(1)},${mark.py.toFixed(1)})`,
      style: hollow ? `fill:var(--card);stroke:${colour};stroke-width:2` : `fill:${colour}` }));
}

function tipOf(mark, across) {
  const { cell } = mark, ms = alone(cell), tokens = tokensOf(cell);
  const rows = [['accuracy', percentSign(cell.accuracy)], ['95 % interval', range(mark.bar)], [across.name, number(mark.x)],
    across === ACROSS.tokens ? null : ['visual tokens', number(tokens)], across === ACROSS.time ? null : ['time alone', known(ms)
      ? `${number(ms)} ms` : ''],
    ['right', `${count(cell.n_correct)} of ${count(cell.n_answered - cell.n_failed)}`]];
  return [el('strong', {}, words(cell.label)), el('span', { class: 'soft' }, plural(cell.frames, 'frame'), apart(cell)
    ? `, ${apart(cell)}` : ''),
    el('dl', {}, rows.filter((row) => row && row[1] !== '').map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]))];
}

function drawKeys(marks, plot) {
  const first = seriesNames.map((name) => marks.find((mark) => seriesName(mark.cell) === name)).filter(Boolean);
  const fade = (name) => plot.querySelectorAll('[data-series]').forEach((node) => node.classList.toggle('faded', name !== null
    && node.dataset.series !== name));
  return el('ul', { class: 'keys', 'aria-label': 'Series' }, first.map(({ cell }) => {
    const { colour, shape } = styleOf(cell);
    return el('li', { onmouseenter: () => fade(seriesName(cell)), onmouseleave: () => fade(null) },
      svg('svg', { viewBox: '-8 -8 16 16', 'aria-hidden': 'true' }, svg('path',
        { d: shape, style: cell.compressor === 'none' ? `fill:none;stroke:${colour};stroke-width:2` : `fill:${colour}` })),
      words(seriesName(cell)));
  }));
}

/* Hovering, focus and keys of the marks. */
function enliven(plot, marks, across, tip) {
  const nodes = [...plot.querySelectorAll('.point')];
  const show = (i) => {
    nodes.forEach((node, k) => node.classList.toggle('shown', k === i));
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.replaceChildren(...tipOf(marks[i], across));
    const box = plot.getBoundingClientRect(), unit = box.width / ROOM.width, x = marks[i].px * unit, y = marks[i].py * unit;
    tip.style.left = `${x + tip.offsetWidth + 24 > box.width ? x - tip.offsetWidth - 16 : x + 16}px`;
    tip.style.top = `${Math.max(0, y - tip.offsetHeight / 2)}px`;
  };
  const go = (i) => { nodes.forEach((node, k) => node.setAttribute('tabindex', k === i ? '0' : '-1')); nodes[i].focus(); };
  const open = (i) => { location.hash = `#/cell/${marks[i].cell.index}`; };
  if (nodes.length) nodes[0].setAttribute('tabindex', '0');
  nodes.forEach((node, i) => fill(node, {
    onmouseenter: () => show(i), onmouseleave: () => show(-1), onfocus: () => show(i), onblur: () => show(-1), onclick: () => open(i),
    onkeydown: (event) => {
      const step = { ArrowRight: i + 1, ArrowUp: i + 1, ArrowLeft: i - 1, ArrowDown: i - 1, Home: 0, End: nodes.length - 1 }[event.key];
      if (event.key === 'Enter') open(i);
      else if (event.key === 'Escape') show(-1);
      else if (step !== undefined && nodes[step]) go(step);
      else return;
      event.preventDefault();
    },
  }, []));
}

function drawPlot(chosen, key) {
  const across = ACROSS[key], { marks, left } = placeMarks(chosen, across);
  if (!marks.length) return el('p', { class: 'soft' }, 'No cell to draw: none of those chosen has both an accuracy and this measure.');
  const scale = scales(marks);
  moveApart(marks, scale);
  const tip = el('div', { class: 'tip', hidden: true, 'aria-hidden': 'true' });
  const drawing = svg('svg', { viewBox: `0 0 ${ROOM.width} ${ROOM.height}`, role: 'group',
    'aria-label': `Accuracy against ${across.name}; arrow keys go through the cells` },
    drawAxes(scale, across.name), drawLines(marks), marks.map((mark) => drawMark(mark, scale, across)));
  const plot = el('div', { class: 'plot' }, drawing, tip);
  enliven(plot, marks, across, tip);
  return [plot, drawKeys(marks, plot), left > 0 && el('p', { class: 'soft small' },
    `${plural(left, 'cell')} without this measure ${left === 1 ? 'is' : 'are'} not drawn.`)];
}
