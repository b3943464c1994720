/* What the store says: columns as they were written (plots/report_data.c), and the statistics made of them here. A cell's columns are
   indexed as its manifest's questions: verdict[q] and letter[q] are characters, the others numbers.

   Verdicts: 1 right, 0 wrong, n no letter in the reply, a ambiguous, . not asked yet; the rest are failures. */

const data = JSON.parse(document.getElementById('data').textContent);
const FAILURES = { d: 'decode failed', m: 'video missing', l: 'too long', o: 'out of memory', f: 'runner failed', t: 'timeout' };
const KINDS = { task_type: 'task', duration: 'duration', domain: 'domain', sub_category: 'sub-category' };
const cells = data.cells;
const manifests = data.manifests;

cells.forEach((cell, i) => {
  cell.index = i;
  cell.questions = manifests[cell.manifest];
});
manifests.forEach((manifest) => {
  manifest.n = manifest.id.length;
  manifest.cells = cells.filter((cell) => cell.questions === manifest);
});

const replied = (verdict) => '10na'.includes(verdict);
const isRight = (cell, q) => cell.verdict[q] === '1';
const isCounted = (cell, q) => cell.counted[q] === '1';
const replyOf = (cell, q) => (cell.reply[q] < 0 ? '' : data.texts[cell.reply[q]]);
const letterAt = (position) => String.fromCharCode(65 + position);

/* ---- axes: what cells differ in -------------------------------------------------------------------------------------------- */

const AXES = [
  ['benchmark', 'benchmark'], ['manifest_digest', 'manifest'], ['model', 'model'], ['frames', 'frames'], ['compressor', 'compressor'],
  ['profile', 'profile'], ['sampling', 'frame rule'], ['pooling', 'pooling'], ['image_size', 'image size'], ['newline', 'markers'],
  ['conversation', 'conversation'], ['prompt_form', 'prompt'], ['dtype', 'dtype'], ['runner', 'runner'], ['isa', 'instruction set'],
  ['build', 'build'],
];

const axisValues = (key) => [...new Set(cells.map((cell) => cell[key]))].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
const varying = AXES.filter(([key]) => axisValues(key).length > 1);
const shortModel = (model) => model.split('/').filter(Boolean).pop() || model;
const shown = (key, value) => (key === 'model' ? shortModel(value) : /digest|build/.test(key) ? value.slice(0, 8) : String(value));

/* What sets a cell apart, without its label and frames. */
const otherAxes = varying.filter(([key]) => !['frames', 'compressor'].includes(key));
const apart = (cell) => otherAxes.map(([key]) => shown(key, cell[key])).join(', ');

function cellName(cell) {
  const rest = apart(cell);
  return `${cell.label}, ${plural(cell.frames, 'frame')}${rest ? `, ${rest}` : ''}`;
}

/* ---- statistics ------------------------------------------------------------------------------------------------------------ */

const Z = data.quantile_normal;
const tQuantile = (df) => data.quantile_student[Math.min(df, data.quantile_student.length) - 1];

function wilson(share, n) {
  const zn = Z * Z / n;
  const centre = (share + zn / 2) / (1 + zn);
  const half = Z / (1 + zn) * Math.sqrt(share * (1 - share) / n + zn / (4 * n));
  return { low: share <= 0 ? 0 : centre - half, high: share >= 1 ? 1 : centre + half };
}

/* Interval of a share whose questions are grouped by video, as metrics/interval.h has it. null where fewer than two videos say nothing. */
function shareInterval(share, se, n, clusters) {
  if (n < 1 || clusters < 2) return null;
  const narrowing = (Z / tQuantile(clusters - 1)) ** 2;
  return wilson(share, Math.min(n, share * (1 - share) / (se * se) || n) * narrowing);
}

/* Mean of value(q) over questions, and its standard error with videos as clusters (metrics/paired.h). */
function clusteredMean(manifest, questions, value) {
  const sums = new Map();
  let total = 0;
  for (const q of questions) {
    const video = manifest.video[q];
    const at = sums.get(video) || [0, 0];
    at[0] += value(q);
    at[1] += 1;
    sums.set(video, at);
    total += value(q);
  }
  const n = questions.length, mean = n ? total / n : NaN, clusters = sums.size;
  let squares = 0;
  for (const [sum, size] of sums.values()) squares += (sum - mean * size) ** 2;
  return { n, mean, clusters, se: Math.sqrt(clusters / (clusters - 1) * squares) / n };
}

/* Right answers among the questions that count. */
function share(cell, questions) {
  const counted = questions.filter((q) => isCounted(cell, q));
  const of = clusteredMean(cell.questions, counted, (q) => (isRight(cell, q) ? 1 : 0));
  return { n: of.n, right: Math.round(of.mean * of.n) || 0, accuracy: of.mean, interval: shareInterval(of.mean, of.se, of.n, of.clusters) };
}

/* Difference a - b over the questions that both answered. */
function difference(a, b) {
  const questions = [...Array(a.questions.n).keys()].filter((q) => replied(a.verdict[q]) && replied(b.verdict[q]));
  const of = clusteredMean(a.questions, questions, (q) => isRight(a, q) - isRight(b, q));
  const half = of.clusters > 1 ? tQuantile(of.clusters - 1) * of.se : NaN;
  const tally = { both: 0, onlyA: 0, onlyB: 0, neither: 0 };
  for (const q of questions)
    tally[isRight(a, q) ? (isRight(b, q) ? 'both' : 'onlyA') : isRight(b, q) ? 'onlyB' : 'neither'] += 1;
  return { ...of, ...tally, low: of.mean - half, high: of.mean + half };
}

const intervalOf = (cell) => (known(cell.low) ? { low: cell.low, high: cell.high } : null);
const everyQuestion = (manifest) => [...Array(manifest.n).keys()];
const groupNames = (manifest, kind) => (manifest.groups[kind] ? manifest.groups[kind].names : []);
const groupOf = (manifest, kind, q) => (manifest.groups[kind] && manifest.groups[kind].of[q] >= 0
  ? manifest.groups[kind].names[manifest.groups[kind].of[q]] : null);

/* ---- verdicts in words ----------------------------------------------------------------------------------------------------- */

function verdictText(verdict) {
  if (verdict === '1') return ['right', '\u2713 right'];
  if (verdict === '0') return ['wrong', '\u2717 wrong'];
  if (verdict === 'n') return ['lost', '? no letter'];
  if (verdict === 'a') return ['lost', '? ambiguous'];
  if (verdict === '.') return ['soft', 'not asked'];
  return ['lost', `! ${FAILURES[verdict]}`];
}

function verdictMark(verdict) {
  const [tone, text] = verdictText(verdict);
  return el('span', { class: `verdict ${tone}` }, text);
}
