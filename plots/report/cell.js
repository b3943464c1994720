/* A cell's page: its settings, where the time goes, each group of questions, and what it chose where. */

const STAGE_COLOURS = ['s7', 's5', 's4', 's0', 's6', 's2', 's1', 's3'];

/* {"a":1,"b":"x"} as "a 1, b x". */
function readable(params) {
  try {
    return Object.entries(JSON.parse(params)).map(([name, value]) =>
      `${name}\u00a0${typeof value === 'object' ? JSON.stringify(value) : value}`).join(', ');
  } catch { return params; }
}

function settingsCard(cell) {
  const facts = [['benchmark', cell.benchmark], ['model', cell.model], ['frames', cell.frames ? String(cell.frames) : 'not known'],
    ['compressor', cell.compressor], ['parameters', readable(cell.params)], ['profile', cell.profile], ['frame rule', cell.sampling],
      ['pooling', cell.pooling],
    ['image size', cell.image_size ? String(cell.image_size) : ''], ['markers', cell.newline], ['prompt', [cell.conversation,
      cell.prompt_form].filter(Boolean).join(', ')],
    ['runner', [cell.runner, cell.dtype, cell.isa].filter(Boolean).join(', ')], ['cell', cell.digest], ['build', cell.build]];
  return el('section', { class: 'card' }, el('h2', {}, 'Settings'), el('dl', { class: 'settings' },
    facts.filter(([, value]) => value).map(([name, value]) => [el('dt', {}, name), el('dd', {}, /cell|build/.test(name) ? el('code', {},
      value) : words(value))])));
}

function timeCard(cell) {
  const stages = data.stages.map((name, i) => ({ name, ms: cell.alone_ms[i], paid: cell.paid_ms[i],
    colour: `var(--${STAGE_COLOURS[i % 8]})` })).filter((s) => s.ms > 0);
  const total = stages.reduce((sum, stage) => sum + stage.ms, 0), paid = stages.reduce((sum, stage) => sum + (stage.paid || 0), 0);
  if (!total) return null;
  return el('section', { class: 'card' }, el('h2', {}, 'Where the time goes'),
    el('div', { class: 'stack', role: 'img', 'aria-label': stages.map((s) => `${s.name} ${percent(s.ms / total)} percent`).join(', ') },
      stages.map((stage) => el('span', { style: `flex:${stage.ms} 1 0;background:${stage.colour}`,
        title: `${stage.name}: ${number(stage.ms)} ms` }))),
    el('ul', { class: 'keys' }, stages.map((stage) => el('li', {}, svg('svg', { viewBox: '-8 -8 16 16', 'aria-hidden': 'true' },
      svg('rect', { x: -6, y: -6, width: 12, height: 12, rx: 2, style: `fill:${stage.colour}` })),
      `${stage.name} ${number(stage.ms)} ms`))),
    el('p', { class: 'soft small' },
      `${number(total)} ms per question by itself; sharing work between cells left ${number(paid)} ms of it.`));
}

function groupCard(cell) {
  const kinds = Object.keys(KINDS).filter((kind) => groupNames(cell.questions, kind).length > 0);
  if (!kinds.length) return null;
  const manifest = cell.questions, room = el('div', {});
  const draw = (kind) => {
    const groups = groupNames(manifest, kind).map((name, g) => ({ name, ...share(cell, everyQuestion(manifest).filter((q) =>
      manifest.groups[kind].of[q] === g)) })).filter((group) => group.n);
    const like = groups.map((group) => ({ ...group, low: group.interval ? group.interval.low : NaN, high: group.interval
      ? group.interval.high : NaN }));
    room.replaceChildren(el('table', { 'data-kind': kind }, el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, KINDS[kind]),
      ['right / n', 'accuracy %', '95 % interval'].map((name) => el('th', { scope: 'col', class: 'number' }, name)), el('th',
      { scope: 'col' }, '0\u2013100 %'))),
      el('tbody', {}, like.map((group) => el('tr', {}, el('td', {}, words(group.name)), el('td', { class: 'number' },
        `${count(group.right)} / ${count(group.n)}`),
        el('td', { class: 'number' }, percent(group.accuracy)), el('td', { class: 'number' }, range(group.interval)), el('td', {},
          whisker(group, 0, 100)))))));
  };
  draw(kinds[0]);
  return el('section', { class: 'card' }, el('div', { class: 'card-head' }, el('h2', {}, 'By group of questions'), kinds.length > 1
    && select('by', kinds.map((kind) => [kind, KINDS[kind]]), kinds[0], draw)), el('div', { class: 'scroll' }, room));
}

/* ---- confusion ------------------------------------------------------------------------------------------------------------- */

/* Right option against option chosen, of the questions that have replies; the last column is of replies without a letter. */
function confusion(cell, questions) {
  const manifest = cell.questions, size = Math.max(1, ...questions.map((q) => manifest.options[q].length));
  const counts = Array.from({ length: size }, () => Array(size + 1).fill(0));
  let n = 0;
  for (const q of questions) {
    const gold = manifest.answer[q], letter = cell.letter.charCodeAt(q) - 65;
    if (gold < 0 || gold >= size || !replied(cell.verdict[q])) continue;
    counts[gold][letter >= 0 && letter < size ? letter : size] += 1;
    n += 1;
  }
  return { counts, size, n };
}

function matrix(name, cell, questions) {
  const { counts, size, n } = confusion(cell, questions);
  if (!n) return null;
  const letters = Array.from({ length: size }, (_, i) => letterAt(i)), lost = counts.some((row) => row[size] > 0);
  const heat = (row, c) => (row[c]
    ? `background:color-mix(in srgb, var(--accent) ${Math.round(60 * row[c] / row.reduce((a, b) => a + b, 0))}%, transparent)` : null);
  return el('div', { class: 'matrix' }, el('h3', {}, words(name), ' ', el('span', { class: 'soft' }, count(n))),
    el('table', {}, el('caption', { class: 'unseen' }, `${name}: right option in rows, option chosen in columns`),
      el('thead', {}, el('tr', {}, el('th', {}, '\u2198'), letters.map((l) => el('th', { scope: 'col' }, l)), lost && el('th',
        { scope: 'col' }, 'none'))),
      el('tbody', {}, counts.map((row, g) => el('tr', {}, el('th', { scope: 'row' }, letters[g]),
        row.slice(0, lost ? size + 1 : size).map((k, c) => el('td', { class: c === g && 'gold', style: heat(row, c) }, k
          ? count(k) : '\u00b7')))))));
}

function confusionCard(cell) {
  const manifest = cell.questions, everything = everyQuestion(manifest), kind = 'task_type';
  const matrices = [matrix('all questions', cell, everything), ...groupNames(manifest, kind).map((name, g) => matrix(name, cell,
    everything.filter((q) => manifest.groups[kind].of[q] === g)))].filter(Boolean);
  if (!matrices.length) return null;
  return el('section', { class: 'card long' }, el('h2', {}, 'Confusion'), el('p', { class: 'soft small' },
    'Rows are the right option, columns the option chosen; shades are shares of a row. A column that is dark throughout is a ' +
      'letter the model likes.'),
    el('div', { class: 'matrices' }, matrices));
}

function cellPage(main, index) {
  const cell = cells[index];
  if (!cell) { main.append(el('p', {}, 'There is no such cell.')); return; }
  const interval = intervalOf(cell), fact = (name, value, note) => el('div', { class: 'fact' }, el('dt', {}, name), el('dd', {}, value,
    note && el('small', {}, note)));
  const base = cells.find((c) => c.compressor === 'none' && c !== cell && c.questions === cell.questions && c.frames === cell.frames
    && apart(c) === apart(cell));
  main.append(
    el('section', { class: 'card' }, el('div', { class: 'card-head' }, el('h2', {}, words(cellName(cell))),
      el('span', {}, el('a', { href: `#/answers/${cell.manifest}/${cell.index}` }, 'its answers'), base && [' \u00b7 ', el('a',
        { href: `#/flips/${base.index}/${cell.index}` }, 'flips against no compression')])),
      el('dl', { class: 'facts' }, fact('accuracy', percentSign(cell.accuracy), interval
        && `95 % ${range(interval)}${cell.macro ? ', mean over tasks' : ''}`),
        fact('right', `${count(cell.n_correct)} of ${count(cell.n_answered - cell.n_failed)}`,
          `${count(cell.n_samples)} in the manifest, ${count(cell.n_failed)} failed`),
        known(tokensOf(cell)) && fact('visual tokens', number(tokensOf(cell)), `${percent(cell.ratio)} % of ${number(cell.tokens_before)}`),
        known(cell.tokens_text) && cell.tokens_text > 0 && fact('text ids', number(cell.tokens_text),
          `${number(cell.tokens_generated)} generated`))),
    el('div', { class: 'pair' }, settingsCard(cell), el('div', { class: 'pair' }, timeCard(cell), groupCard(cell))), confusionCard(cell)
      || '');
}
