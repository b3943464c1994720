/* The frame of the page: views by the address's hash, light and dark, and the start. */

const VIEWS = [['#/', 'Overview'], ['#/answers', 'Answers'], ['#/flips', 'Flips']];
const main = document.getElementById('main');

function numbersIn(parts) {
  return parts.map((part) => (/^\d+$/.test(part) ? Number(part) : undefined));
}

function route(event) {
  const [name = '', ...rest] = location.hash.replace(/^#\/?/, '').split('/'), at = numbersIn(rest);
  main.replaceChildren();
  if (!cells.length) main.append(card(null, el('p', {}, 'This store has no cells yet.')));
  else if (name === 'cell') cellPage(main, at[0]);
  else if (name === 'answers') answersPage(main, at[0] || 0, at[1], at[2]);
  else if (name === 'flips') flipsPage(main, at[0], at[1]);
  else overviewPage(main);
  const current = `#/${name === 'cell' ? '' : name}`;
  document.querySelectorAll('#views a').forEach((link) => (link.getAttribute('href') === current ? link.setAttribute('aria-current',
    'page') : link.removeAttribute('aria-current')));
  if (event) { window.scrollTo(0, 0); main.focus({ preventScroll: true }); }
}

/* ---- light and dark -------------------------------------------------------------------------------------------------------- */

const root = document.documentElement, systemDark = matchMedia('(prefers-color-scheme: dark)');

/* Pages opened from files may be denied storage. */
function remembered(value) {
  try {
    if (value) localStorage.setItem('toksweep-theme', value);
    return localStorage.getItem('toksweep-theme');
  } catch { return null; }
}

const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : systemDark.matches);

function themeButton() {
  const button = document.getElementById('theme');
  const say = () => { button.textContent = isDark() ? '\u2600 Light' : '\u263e Dark'; button.setAttribute('aria-label', isDark()
    ? 'Switch to light' : 'Switch to dark'); };
  const before = remembered();
  if (before === 'light' || before === 'dark') root.dataset.theme = before;
  button.addEventListener('click', () => { root.dataset.theme = isDark() ? 'light' : 'dark'; remembered(root.dataset.theme); say(); });
  systemDark.addEventListener('change', say);
  say();
}

/* ---- the start ------------------------------------------------------------------------------------------------------------- */

document.getElementById('made').append(words(data.made));
document.getElementById('foot').append(words(data.program));
document.getElementById('views').append(...VIEWS.map(([href, name]) => el('a', { href }, name)));
document.querySelector('.skip').addEventListener('click', (event) => { event.preventDefault(); main.focus(); });
themeButton();
addEventListener('hashchange', route);
route();
performance.mark('toksweep-ready');
