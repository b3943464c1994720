/* Frames and the token groups drawn on them. Both are there only if they were kept: pictures by `report --frames`, groups by
   `run --keep-groups`. What is missing is said. */

const FRAME = 168;
const MOST_FRAMES = 64;

/* Parsed when the first frame is to be shown: pictures may be most of the file. */
let parsed = null;

function kept() {
  if (!parsed) parsed = JSON.parse(document.getElementById('pictures').textContent);
  return parsed;
}

/* ---- groups: the marks of plots/group_map.h -------------------------------------------------------------------------------- */

const DROPPED = -1;
const EVERYWHERE = -2;

/* The group of each source token, and the frame in which each group begins. */
function readGroups({ frames, h, w, map }) {
  const n = frames.length * h * w, of = new Int32Array(n), begins = [];
  for (let i = 0, at = 0; i < n; i++) {
    const mark = map[at++];
    if (mark === 'n') {
      of[i] = begins.length;
      begins.push(Math.floor(i / (h * w)));
    } else if (mark === '=') {
      const end = map.indexOf(';', at);
      of[i] = Number(map.slice(at, end));
      at = end + 1;
    } else {
      of[i] = { l: () => of[i - 1], u: () => of[i - w], b: () => of[i - h * w], '.': () => DROPPED, '*': () => EVERYWHERE }[mark]();
    }
  }
  return { of, begins };
}

/* Draws frame t: what was dropped is dark, what is in a token of an earlier frame is tinted, groups have outlines. */
function drawGroups(paper, { h, w }, { of, begins }, t) {
  const dx = FRAME / w, dy = FRAME / h, at = (y, x) => of[(t * h + y) * w + x];
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const group = at(y, x);
      paper.fillStyle = group === DROPPED ? 'rgba(0, 0, 0, .72)' : group >= 0 && begins[group] < t
        ? 'rgba(40, 120, 255, .4)' : 'transparent';
      paper.fillRect(x * dx, y * dy, dx, dy);
    }
  const lines = new Path2D();
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      if (x + 1 < w && at(y, x) !== at(y, x + 1)) {
        lines.moveTo((x + 1) * dx, y * dy);
        lines.lineTo((x + 1) * dx, (y + 1) * dy);
      }
      if (y + 1 < h && at(y, x) !== at(y + 1, x)) {
        lines.moveTo(x * dx, (y + 1) * dy);
        lines.lineTo((x + 1) * dx, (y + 1) * dy);
      }
    }
  for (const [style, width] of [['rgba(0, 0, 0, .55)', 2.2], ['rgba(255, 235, 90, .95)', 1]]) {
    paper.strokeStyle = style;
    paper.lineWidth = width;
    paper.stroke(lines);
  }
}

/* ---- a strip of frames ----------------------------------------------------------------------------------------------------- */

/* In two pixels to one, for screens that have them. */
function drawFrame(picture, groups, read, t, said) {
  const canvas = el('canvas', { width: 2 * FRAME, height: 2 * FRAME, role: 'img', 'aria-label': said });
  const paper = canvas.getContext('2d');
  const over = () => groups && drawGroups(paper, groups, read, t);
  paper.scale(2, 2);
  paper.fillStyle = '#8a8f98';
  paper.fillRect(0, 0, FRAME, FRAME);
  if (!picture) {
    over();
    return canvas;
  }
  const image = new Image();
  image.onload = () => { paper.drawImage(image, 0, 0, FRAME, FRAME); over(); };
  image.src = `data:image/jpeg;base64,${picture[2]}`;
  return canvas;
}

function strip(pictures, groups) {
  const byIndex = new Map((pictures || []).map((picture) => [picture[0], picture]));
  const read = groups && readGroups(groups), indices = groups ? groups.frames : [...byIndex.keys()];
  return indices.slice(0, MOST_FRAMES).map((index, t) => {
    const picture = byIndex.get(index), here = read && read.begins.filter((frame) => frame === t).length;
    const seconds = picture ? `${picture[1].toFixed(1)}\u202fs` : '';
    const said = [`frame ${index}`, seconds, read && plural(here, 'token')].filter(Boolean).join(', ');
    return el('figure', {}, drawFrame(picture, groups, read, t, said), el('figcaption', {}, said));
  });
}

const HOW_GROUPS = 'Outlined: source tokens that became one visual token. Dark: dropped. Blue: part of a token that stands in an ' +
  'earlier frame.';

function film(pictures, cell, groups) {
  const shown = strip(pictures, groups), most = groups && groups.frames.length > MOST_FRAMES;
  return [el('div', { class: 'film' }, shown),
    groups && el('p', { class: 'soft small' }, HOW_GROUPS, most ? ` The first ${MOST_FRAMES} of ${groups.frames.length} frames.` : ''),
    !pictures && groups && el('p', { class: 'soft small' },
      'The pictures themselves are not in this file: there was no room, or the video was not to be had.'),
    !groups && pictures && el('p', { class: 'soft small' },
      'Which tokens became one was not kept for this cell: toksweep run --keep-groups keeps it.')];
}

/* Frames of a question's video with the groups of one cell, to be chosen: the last of those marked, B of a flip, comes first. null where
   the file holds neither. */
function filmOf(manifest, q, asked, marked) {
  const { groups = {}, videos = {} } = kept();
  const pictures = videos[`${manifests.indexOf(manifest)}/${manifest.video[q]}`];
  const groupsOf = (cell) => (cell.groups && cell.groups[q] >= 0 ? groups[cell.groups[q]] : undefined);
  const having = asked.filter(groupsOf);
  if (!pictures && !having.length) {
    return Object.keys(videos).length ? el('p', { class: 'soft small' }, 'Frames of this video are not in this file.') : null;
  }
  const room = el('div', {});
  const show = (cell) => room.replaceChildren(...film(pictures, cell, cell && groupsOf(cell)).filter(Boolean));
  const first = [...marked].reverse().find(groupsOf) || having.find((cell) => cell.compressor !== 'none') || having[0];
  show(first);
  return el('div', { class: 'film-room' }, having.length > 1 && select('token groups of', [...having.map((cell) => [cell.index,
    cellName(cell)]), [-1, 'none: frames alone']],
    first.index, (i) => show(cells[i])), room);
}
