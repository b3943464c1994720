/* The browser of answers: a list of questions on the left, of which only the rows in sight exist, and one question on the right. The flips
   page is the same list between two cells. */

const ROW = 58;

/* ---- the list -------------------------------------------------------------------------------------------------------------- */

/* options: row(q) -> nodes, open(q). Returns the element, and set(questions) to fill it. */
function questionList({ row, open, name }) {
  let questions = [], at = -1;
  const room = el('div', { class: 'list-room', role: 'presentation' });
  const list = el('div', { class: 'list', role: 'listbox', tabindex: '0', 'aria-label': name }, room);
  const made = new Map();

  const make = (i) => el('div', { class: 'row', role: 'option', id: `row-${i}`, style: `top:${i * ROW}px`, 'data-question': questions[i],
    'aria-setsize': questions.length, 'aria-posinset': i + 1, 'aria-selected': String(i === at), onclick: () => choose(i) },
      row(questions[i]));

  const draw = () => {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
    const last = Math.min(questions.length, Math.ceil((list.scrollTop + (list.clientHeight || 700)) / ROW) + 6);
    for (const [i, node] of made) if (i < first || i >= last) { node.remove(); made.delete(i); }
    for (let i = first; i < last; i++) if (!made.has(i)) { const node = make(i); made.set(i, node); room.append(node); }
  };

  const choose = (i, quiet) => {
    if (!questions.length) return;
    if (made.has(at)) made.get(at).setAttribute('aria-selected', 'false');
    at = Math.max(0, Math.min(questions.length - 1, i));
    if (at * ROW < list.scrollTop) list.scrollTop = at * ROW;
    if ((at + 1) * ROW > list.scrollTop + list.clientHeight && list.clientHeight) list.scrollTop = (at + 1) * ROW - list.clientHeight;
    draw();
    made.get(at)?.setAttribute('aria-selected', 'true');
    list.setAttribute('aria-activedescendant', `row-${at}`);
    open(questions[at], quiet);
  };

  list.addEventListener('scroll', () => requestAnimationFrame(draw), { passive: true });
  list.addEventListener('keydown', (event) => {
    const page = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0,
      End: questions.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });

  const set = (next, keep) => {
    questions = next;
    made.clear();
    room.replaceChildren();
    room.style.height = `${questions.length * ROW}px`;
    at = -1;
    list.scrollTop = 0;
    draw();
    choose(Math.max(0, keep === undefined ? 0 : questions.indexOf(keep)), true);
  };
  return { element: list, set };
}

/* ---- one question ---------------------------------------------------------------------------------------------------------- */

function optionsOf(manifest, q, asked) {
  const options = manifest.options[q], chosen = options.map((_, o) => asked.filter((cell) => cell.letter[q] === letterAt(o)).length),
    n = asked.filter((cell) => replied(cell.verdict[q])).length;
  return el('ol', { class: 'options' }, options.map((text, o) => el('li', { class: o === manifest.answer[q] && 'gold' },
    el('div', { class: 'share', style: `width:${n ? 100 * chosen[o] / n : 0}%`, 'aria-hidden': 'true' }),
    el('span', {}, el('strong', {}, `${letterAt(o)}  `), words(text.replace(/^\(?[A-Z][.):]\s*/, '')), o === manifest.answer[q]
      && el('span', { class: 'verdict right' }, ' \u2713 right option')),
    el('span', { class: 'soft small' }, n ? `${chosen[o]} of ${plural(n, 'cell')}` : ''))));
}

function answerRow(cell, q, marked) {
  const letter = cell.letter[q], reply = replyOf(cell, q);
  return el('tr', { class: marked.includes(cell) && 'chosen', 'data-cell': cell.index },
    el('td', {}, el('a', { href: `#/cell/${cell.index}` }, words(cell.label)), otherAxes.length > 0 && el('div', { class: 'soft small' },
      words(apart(cell)))),
    el('td', { class: 'number' }, cell.frames || ''), el('td', {}, verdictMark(cell.verdict[q])), el('td', {}, letter === '-'
      ? '' : letter),
    el('td', { class: 'reply' }, reply.trim() === letter ? '' : words(reply)), el('td', { class: 'number' }, cell.margin
      && known(cell.margin[q]) ? cell.margin[q].toFixed(2) : ''),
    el('td', { class: 'number' }, cell.tokens ? (known(cell.tokens[q]) ? count(cell.tokens[q]) : '') : ''), el('td', { class: 'number' },
      cell.ms && known(cell.ms[q]) ? count(Math.round(cell.ms[q])) : ''));
}

function answersTable(manifest, q, asked, marked) {
  const heads = [['cell'], ['frames', 1], ['verdict'], ['letter'], ['reply'], ['margin', 1], ['tokens', 1], ['ms', 1]];
  return el('div', { class: 'scroll' }, el('table', {}, el('caption', {},
    'Margin: how far the first text id\u2019s logit is above the second\u2019s. Tokens: visual, markers counted. ms: by itself.'),
    el('thead', {}, el('tr', {}, heads.map(([name, isNumber]) => el('th', { scope: 'col', class: isNumber && 'number' }, name)))),
    el('tbody', {}, asked.filter((cell) => cell.verdict[q] !== '.').map((cell) => answerRow(cell, q, marked)))));
}

function questionDetail(manifest, q, marked) {
  const asked = [...marked, ...manifest.cells.filter((cell) => !marked.includes(cell))];
  const about = [manifest.id[q], `video ${manifest.videos[manifest.video[q]]}`, ...Object.keys(KINDS).map((kind) => groupOf(manifest,
    kind, q))].filter(Boolean);
  return [el('p', { class: 'soft small' }, words(about.join(' \u00b7 '))), words(manifest.question[q], 'h2', 'question'),
    optionsOf(manifest, q, asked),
    filmOf(manifest, q, asked, marked), answersTable(manifest, q, asked, marked)].flat().filter(Boolean);
}

/* ---- the pages ------------------------------------------------------------------------------------------------------------- */

const browsing = { manifest: 0, text: '', task: '', which: 'all', order: 'manifest', cell: -1 };

function rightOf(manifest, q) {
  const asked = manifest.cells.filter((cell) => replied(cell.verdict[q]));
  return [asked.filter((cell) => isRight(cell, q)).length, asked.length];
}

const leastMargin = (manifest, q) => Math.min(...manifest.cells.map((cell) => (cell.margin && known(cell.margin[q])
  ? cell.margin[q] : Infinity)));
const anyFailed = (manifest, q) => manifest.cells.some((cell) => cell.verdict[q] !== '.' && !replied(cell.verdict[q]));

const WHICH = {
  all: ['every question', () => true],
  split: ['cells disagree', (m, q) => { const [right, n] = rightOf(m, q); return right > 0 && right < n; }],
  none: ['all cells wrong', (m, q) => { const [right, n] = rightOf(m, q); return n > 0 && right === 0; }],
  every: ['all cells right', (m, q) => { const [right, n] = rightOf(m, q); return n > 0 && right === n; }],
  failed: ['a cell failed', anyFailed],
  cell: ['the chosen cell wrong', (m, q) => browsing.cell >= 0 && replied(cells[browsing.cell].verdict[q])
    && !isRight(cells[browsing.cell], q)],
};

const ORDER = {
  manifest: ['manifest order', null],
  least: ['fewest cells right', (m, q) => { const [right, n] = rightOf(m, q); return n ? right / n : 2; }],
  margin: ['closest call', leastMargin],
};

function matchesText(manifest, q, text) {
  return !text || manifest.question[q].toLowerCase().includes(text) || manifest.id[q].toLowerCase().includes(text) ||
    manifest.videos[manifest.video[q]].toLowerCase().includes(text) || manifest.options[q].some((option) =>
      option.toLowerCase().includes(text));
}

function chooseQuestions(manifest) {
  const text = browsing.text.toLowerCase(), [, keep] = WHICH[browsing.which], [, key] = ORDER[browsing.order];
  const found = everyQuestion(manifest).filter((q) => (!browsing.task || groupOf(manifest, 'task_type', q) === browsing.task)
    && matchesText(manifest, q, text) && keep(manifest, q));
  if (!key) return found;
  const keys = new Map(found.map((q) => [q, key(manifest, q)]));
  return found.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
}

const rowHead = (manifest, q) => el('span', { class: 'row-name' }, words([manifest.id[q], groupOf(manifest, 'task_type',
  q)].filter(Boolean).join(' \u00b7 ')));
const rowText = (manifest, q) => el('span', { class: 'row-text', dir: 'auto' }, manifest.question[q]);

function browserShell(controls, list, said, detail) {
  return el('div', { class: 'browser' }, el('section', { class: 'card list-side', 'aria-label': 'Questions' }, controls, said, list),
    detail);
}

function cellSelect(label, among, value, changed, nobody) {
  return select(label, [...(nobody ? [[-1, nobody]] : []), ...among.map((cell) => [cell.index, cellName(cell)])], value,
    (v) => changed(Number(v)));
}

function answersPage(main, manifestIndex, cellIndex, question) {
  browsing.manifest = manifests[manifestIndex] ? manifestIndex : 0;
  const manifest = manifests[browsing.manifest];
  browsing.cell = cells[cellIndex] && cells[cellIndex].questions === manifest ? cellIndex : -1;
  if (browsing.which === 'cell' && browsing.cell < 0) browsing.which = 'all';
  const detail = el('section', { class: 'card detail', 'aria-label': 'Question', 'aria-live': 'polite' }), said = el('p',
    { class: 'soft small', role: 'status' });
  const marked = () => (browsing.cell >= 0 ? [cells[browsing.cell]] : []);
  const mark = (q) => {
    if (browsing.cell >= 0) return verdictMark(cells[browsing.cell].verdict[q]);
    const [right, n] = rightOf(manifest, q);
    return el('span', { class: 'soft' }, n ? `${right} of ${n} right` : 'not answered');
  };
  const list = questionList({ name: 'Questions', open: (q) => detail.replaceChildren(...questionDetail(manifest, q, marked())),
    row: (q) => [rowHead(manifest, q), el('span', { class: 'row-mark' }, mark(q)), rowText(manifest, q)] });
  const refresh = (keep) => {
    const found = chooseQuestions(manifest);
    said.textContent = `${plural(found.length, 'question')} of ${count(manifest.n)}`;
    if (!found.length) detail.replaceChildren(el('p', { class: 'soft' }, 'No question is left by the filters.'));
    list.set(found, keep);
  };
  const tasks = groupNames(manifest, 'task_type'), box = el('input', { type: 'search', value: browsing.text, oninput: () =>
    { browsing.text = box.value; refresh(); } });
  const controls = el('div', { class: 'filters two' },
    manifests.length > 1 && select('benchmark', manifests.map((m, i) => [i, `${m.name} ${m.digest.slice(0, 8)}`]), browsing.manifest,
      (i) => { location.hash = `#/answers/${i}`; }),
    el('label', { class: 'field' }, el('span', {}, 'question contains'), box),
    tasks.length > 1 && select('task', [['', 'all'], ...tasks.map((name) => [name, name])], browsing.task,
      (v) => { browsing.task = v; refresh(); }),
    cellSelect('cell', manifest.cells, browsing.cell, (i) =>
      { location.hash = `#/answers/${browsing.manifest}${i >= 0 ? `/${i}` : ''}`; }, 'all cells'),
    select('show', Object.entries(WHICH).filter(([key]) => key !== 'cell' || browsing.cell >= 0).map(([key, [name]]) => [key, name]),
      browsing.which, (v) => { browsing.which = v; refresh(); }),
    select('order', Object.entries(ORDER).map(([key, [name]]) => [key, name]), browsing.order, (v) => { browsing.order = v; refresh(); }));
  main.append(browserShell(controls, list.element, said, detail));
  refresh(question);
}

/* ---- flips ----------------------------------------------------------------------------------------------------------------- */

const FLIPS = {
  flips: ['either way', (a, b) => isFlip(a, b)],
  lost: ['A right, B wrong', (a, b) => isFlip(a, b) && a === '1'],
  won: ['A wrong, B right', (a, b) => isFlip(a, b) && b === '1'],
  moved: ['both wrong, another letter', null],
};
const isFlip = (a, b) => replied(a) && replied(b) && (a === '1') !== (b === '1');
let flipKind = 'flips';

const hasFlipped = (a, b, q) => (flipKind === 'moved'
  ? replied(a.verdict[q]) && replied(b.verdict[q]) && !isRight(a, q) && !isRight(b, q) && a.letter[q] !== b.letter[q]
  : FLIPS[flipKind][1](a.verdict[q], b.verdict[q]));

function flipSummary(a, b) {
  const d = difference(b, a); /* its first is B */
  if (!d.n) return el('section', { class: 'card' }, el('p', {}, 'No question was answered by both cells.'));
  const sign = d.low > 0 ? 'B is better' : d.high < 0 ? 'B is worse' : known(d.low) ? 'cannot be told apart' : 'too few videos to tell';
  const box = (name, n, href) => el('div', { class: 'fact' }, el('dt', {}, name), el('dd', {}, count(n), el('small', {},
    `${percent(n / d.n)} %`)));
  return el('section', { class: 'card', id: 'flip-summary' }, el('p', { class: 'verdict-line' }, `B \u2212 A  ${points(d.mean)} points`,
    el('span', { class: 'soft' }, known(d.low) ? `  95 % ${points(d.low)} to ${points(d.high)}: ${sign}` : `  ${sign}`)),
    el('p', { class: 'soft small' },
      `${plural(d.n, 'question')} on ${plural(d.clusters, 'video')} that both answered; Student's t over videos. ` +
      'toksweep compare has the tests.'),
    el('dl', { class: 'facts', style: 'margin-top:.8rem' }, box('both right', d.both), box('A right, B wrong', d.onlyB),
      box('A wrong, B right', d.onlyA), box('both wrong', d.neither)));
}

function flipsPage(main, first, second) {
  const usable = cells.filter((cell) => cell.questions.cells.length > 1);
  if (!usable.length) { main.append(card('Flips', el('p', { class: 'soft' },
    'Flips are between two cells on the same questions; this store has no two of them.'))); return; }
  const a = usable.find((cell) => cell.index === first) || usable.find((cell) => cell.compressor === 'none') || usable[0];
  const partners = a.questions.cells.filter((cell) => cell !== a), b = partners.find((cell) => cell.index === second)
    || partners.find((cell) => cell.frames === a.frames) || partners[0];
  const manifest = a.questions, detail = el('section', { class: 'card detail', 'aria-label': 'Question', 'aria-live': 'polite' }),
    said = el('p', { class: 'soft small', role: 'status' });
  const go = (x, y) => { location.hash = `#/flips/${x}/${y}`; };
  const list = questionList({ name: 'Flipped questions', open: (q) => detail.replaceChildren(...questionDetail(manifest, q, [a, b])),
    row: (q) => [rowHead(manifest, q),
    el('span', { class: 'row-mark' }, el('span', { class: isRight(a, q) ? 'right' : 'wrong' },
      `${a.letter[q]} ${isRight(a, q) ? '\u2713' : '\u2717'}`), ' \u2192 ', el('span', { class: isRight(b, q) ? 'right' : 'wrong' },
      `${b.letter[q]} ${isRight(b, q) ? '\u2713' : '\u2717'}`)), rowText(manifest, q)] });
  const refresh = () => {
    const found = everyQuestion(manifest).filter((q) => hasFlipped(a, b, q));
    said.textContent = plural(found.length, 'question');
    if (!found.length) detail.replaceChildren(el('p', { class: 'soft' }, 'No question flipped this way.'));
    list.set(found);
  };
  const kinds = el('div', { class: 'pills', role: 'group', 'aria-label': 'Which flips' }, Object.entries(FLIPS).map(([key,
    [name]]) => el('button', { type: 'button', 'aria-pressed': String(flipKind === key), onclick: (event) => {
    flipKind = key;
    [...event.currentTarget.parentNode.children].forEach((node) => node.setAttribute('aria-pressed', String(node === event.currentTarget)));
    refresh();
  } }, name)));
  main.append(el('section', { class: 'card' }, el('div', { class: 'two' }, cellSelect('A', usable, a.index, (i) => go(i, b.index === i
    ? a.index : b.index)), cellSelect('B', partners, b.index, (i) => go(a.index, i)),
    el('button', { type: 'button', id: 'swap', onclick: () => go(b.index, a.index) }, '\u21c4 swap')),
    el('p', { class: 'print-names small soft' }, 'A: ', words(cellName(a)), '; B: ', words(cellName(b)))), flipSummary(a, b),
      browserShell(kinds, list.element, said, detail));
  refresh();
}
