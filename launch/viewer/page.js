'use strict';
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const off = new Set(); // numbers of the runs that are not shown

// One rule for every box that shows runs: it is ticked if all of them are shown, half ticked if some are.
const runsOf = (box) => box.dataset.runs.split(' ');
function refresh(section) {
  for (const box of all('input[data-runs]', section)) {
    const shown = runsOf(box).filter((run) => !off.has(run)).length;
    box.checked = shown === runsOf(box).length;
    box.indeterminate = shown > 0 && !box.checked;
  }
  for (const part of all('.chart, .gallery', section)) coming.observe(part);
}

function show(section, runs, on) {
  for (const run of runs) on ? off.delete(run) : off.add(run);
  refresh(section);
}

// Tables: groups are sorted by their first row, and the runs of a group within it.
function order(row, column) {
  const cell = row.cells[column];
  return 'order' in cell.dataset ? Number(cell.dataset.order) : cell.textContent.trim();
}

function compare(a, b) {
  const kinds = (x) => (x === '' || x === '–' ? 2 : typeof x === 'string' ? 1 : 0);
  if (kinds(a) !== kinds(b)) return kinds(a) - kinds(b);
  return typeof a === 'string' ? a.localeCompare(b, 'en', { numeric: true }) : a - b;
}

function sort(head) {
  const table = head.closest('table');
  const down = head.ariaSort === 'ascending';
  for (const other of all('[aria-sort]', table)) other.ariaSort = 'none';
  head.ariaSort = down ? 'descending' : 'ascending';
  const by = (a, b) => (down ? -1 : 1) * compare(order(a, head.cellIndex), order(b, head.cellIndex));
  for (const body of table.tBodies) body.append(...all('.run', body).sort(by));
  table.append(...[...table.tBodies].sort((a, b) => by(a.rows[0], b.rows[0])));
}

function expand(button) {
  const open = button.ariaExpanded !== 'true';
  button.ariaExpanded = open;
  for (const row of all('.run', button.closest('tbody'))) row.hidden = !open;
}

function copy(button) {
  const text = button.previousElementSibling;
  getSelection().selectAllChildren(text); // to be copied by hand where the browser lets no page do it
  const done = () => { button.textContent = 'Copied'; };
  navigator.clipboard?.writeText(text.textContent).then(done, () => document.execCommand('copy') && done());
}

// Charts.
const NS = 'http://www.w3.org/2000/svg';
function draw(parent, name, attributes, text = '') {
  const node = parent.appendChild(document.createElementNS(NS, name));
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}

const round = (x) => String(Number(x.toPrecision(4)));
const formatted = (x) => (x !== 0 && (Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3) ? x.toExponential(2).replace('e+', 'e') : round(x));
const count = (x) => x.toLocaleString('en');
const short = (x) => (x >= 1e6 ? `${round(x / 1e6)}M` : x >= 1e4 ? `${round(x / 1e3)}k` : count(x));

function ticks(low, high, log, most) {
  if (log && high / low >= 100) {
    const [first, last] = [Math.ceil(Math.log10(low)), Math.floor(Math.log10(high))];
    const every = Math.ceil((last - first + 1) / most);
    return Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => Number(`1e${first + i * every}`));
  }
  const size = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = [1, 2, 5, 10].map((x) => x * size).find((x) => (high - low) / x <= most);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

// The lowest and highest of some numbers, with air around them.
function range(values, log, air) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  if (log) return [low * (low / high) ** air / (low === high ? 2 : 1), high * (high / low) ** air * (low === high ? 2 : 1)];
  const by = high > low ? (high - low) * air : Math.abs(high) || 1;
  return [low - by, high + by];
}

function scale([low, high], [from, to], log) {
  const f = log ? Math.log10 : (x) => x;
  return (x) => from + ((f(x) - f(low)) / (f(high) - f(low))) * (to - from);
}

// The width of the longest of some labels, in whatever font the browser has.
function widest(svg, labels) {
  const nodes = labels.map((label) => draw(svg, 'text', {}, label));
  const width = Math.max(...nodes.map((node) => node.getComputedTextLength()));
  for (const node of nodes) node.remove();
  return width;
}

function axes(svg, x, y, [left, right, top, bottom], [across, up]) {
  for (const at of up) {
    draw(svg, 'path', { class: 'grid', d: `M${left} ${y(at)}H${right}` });
    draw(svg, 'text', { x: left - 6, y: y(at) + 4, 'text-anchor': 'end' }, formatted(at));
  }
  for (const at of across) draw(svg, 'text', { x: x(at), y: bottom + 17, 'text-anchor': 'middle' }, short(at));
}

function chart(figure, styles, last) {
  const [svg, output, box] = ['.plot', 'output', '.log input'].map((selector) => figure.querySelector(selector));
  const curves = JSON.parse(figure.querySelector('script').textContent);
  let drawn = []; // {run, path, points: [[x, y, step, value]]} of the runs that are shown
  let at = [0, 0]; // the curve and the point that are read

  figure.begin = () => {
    const log = box.checked;
    const shown = curves.filter(([run]) => !off.has(String(run)))
      .map(([run, steps, values]) => [run, steps.map((s, i) => [s, values[i]]).filter(([, v]) => !log || v > 0)])
      .filter(([, points]) => points.length);
    svg.replaceChildren();
    svg.classList.remove('reading');
    output.textContent = shown.length ? ' ' : 'nothing is shown';
    drawn = [];
    at = [0, 0];
    if (!shown.length) return;
    const { width, height } = svg.getBoundingClientRect();
    const across = [0, last]; // the same in all charts, so that they can be compared
    const up = range(shown.flatMap(([, points]) => points.map(([, v]) => v)), log, 0.04);
    const marks = [ticks(...across, false, Math.max(2, width / 90)), ticks(...up, log, 5)];
    // A label is centred under its tick, and the last tick may stand at the very end.
    const [half, side] = [widest(svg, marks[0].map(short)) / 2, widest(svg, marks[1].map(formatted))];
    const frame = [Math.max(14 + side, half + 2), width - Math.max(16, half + 2), 8, height - 24];
    const x = scale(across, frame.slice(0, 2), false);
    const y = scale(up, [frame[3], frame[2]], log);
    axes(svg, x, y, frame, marks);
    for (const [run, plain] of shown) {
      const points = plain.map(([s, v]) => [x(s), y(v), s, v]);
      const d = points.map(([px, py]) => `${Math.round(px * 10) / 10} ${Math.round(py * 10) / 10}`).join('L');
      drawn.push({ run, points, path: draw(svg, 'path', { class: `curve ${styles[run][0]}`, d: `M${d}` }) });
    }
  };

  function read() {
    const { run, path, points } = drawn[at[0]];
    const [px, py, step, value] = points[at[1]];
    all('.read, .point', svg).forEach((node) => node.matches('.point') ? node.remove() : node.classList.remove('read'));
    path.classList.add('read');
    svg.append(path); // on top of the others
    svg.classList.add('reading');
    draw(svg, 'circle', { class: 'point', cx: px, cy: py, r: 4 });
    const bold = document.createElement('b');
    bold.textContent = formatted(value);
    output.replaceChildren(bold, ` at step ${count(step)} of ${styles[run][1]}`);
  }

  svg.addEventListener('pointermove', (event) => {
    const { left, top } = svg.getBoundingClientRect();
    let nearest = Infinity;
    drawn.forEach(({ points }, i) => points.forEach(([px, py], j) => {
      const far = (px - event.clientX + left) ** 2 + (py - event.clientY + top) ** 2;
      if (far < nearest) { nearest = far; at = [i, j]; }
    }));
    if (drawn.length) read();
  });
  svg.addEventListener('pointerleave', () => svg.classList.remove('reading'));
  svg.addEventListener('blur', () => svg.classList.remove('reading'));
  svg.addEventListener('focus', () => drawn.length && svg.matches(':focus-visible') && read());
  svg.addEventListener('keydown', (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move || !drawn.length) return;
    event.preventDefault();
    const step = drawn[at[0]].points[at[1]][2];
    at[0] = (at[0] + move[0] + drawn.length) % drawn.length;
    const { points } = drawn[at[0]];
    const same = points.findIndex((point) => point[2] >= step); // another run is read at the step of this one
    at[1] = Math.max(0, Math.min(points.length - 1, (same < 0 ? points.length - 1 : same) + move[1]));
    read();
  });
  box.addEventListener('change', figure.begin);
  figure.begin();
}

// Pictures: of one probe at one step, of the runs that are shown.
function showPictures(gallery) {
  const [probe, step] = all('select', gallery).map((select) => select.value);
  const there = (figure) => figure.dataset.probe === probe;
  const steps = new Set(all('figure', gallery).filter(there).map((figure) => figure.dataset.step));
  for (const option of all('.step option', gallery)) option.hidden = option.disabled = !steps.has(option.value);
  if (!steps.has(step)) {
    gallery.querySelector('.step').value = [...steps].sort((a, b) => a - b).at(-1);
    return showPictures(gallery);
  }
  for (const figure of all('figure', gallery)) {
    figure.hidden = !there(figure) || figure.dataset.step !== step || off.has(figure.dataset.run);
    const image = figure.querySelector('img');
    if (!figure.hidden) image.src ||= image.dataset.src;
  }
  return null;
}

// What is observed is drawn once, as soon as it comes into view; hundreds of runs would else take their time.
const coming = new IntersectionObserver((entries) => {
  for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
    coming.unobserve(target);
    target.begin();
  }
}, { rootMargin: '100px' });

for (const section of all('.experiment')) {
  const boxes = all('input[data-runs]', section);
  const styles = JSON.parse(section.querySelector('.styles')?.textContent ?? '{}');
  for (const box of boxes) box.addEventListener('change', () => show(section, runsOf(box), box.checked));
  for (const head of all('[aria-sort]', section)) head.firstElementChild.addEventListener('click', () => sort(head));
  for (const [kind, act] of Object.entries({ more: expand, copy })) {
    for (const button of all(`.${kind}`, section)) button.addEventListener('click', () => act(button));
  }
  for (const kind of ['all', 'none']) {
    section.querySelector(`.${kind}`)?.addEventListener('click', () => show(section, boxes.flatMap(runsOf), kind === 'all'));
  }
  for (const figure of all('.chart', section)) figure.begin = () => chart(figure, styles, Number(section.dataset.last));
  for (const gallery of all('.gallery', section)) {
    for (const select of all('select', gallery)) select.addEventListener('change', () => showPictures(gallery));
    gallery.begin = () => showPictures(gallery);
  }
  refresh(section);
}
let width = innerWidth;
addEventListener('resize', () => {
  if (innerWidth !== width) all('.experiment').forEach(refresh);
  width = innerWidth;
});
