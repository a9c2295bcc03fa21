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

// Charts: Bokeh draws them and all that one does in them; here is said which curves are shown, and how they look.
const DASHES = { d0: 'solid', d1: 'dashed', d2: 'dotted', d3: 'dotdash' };
const dark = matchMedia('(prefers-color-scheme: dark)');
globalThis.Bokeh?.logger.set_level('error');

// Of each row of the table and of each run its name, its look, and whether it is shown: a row as a mean, or else its runs.
function looks(section) {
  const style = getComputedStyle(document.documentElement); // with the colours of the hour
  const means = section.querySelector('.as')?.value === 'means';
  const rows = JSON.parse(section.querySelector('.curve-key').textContent).map(([classes, label, labels]) => {
    const [colour, dash] = classes.split(' ');
    const numbers = Object.keys(labels);
    const shown = means && numbers.length > 1 && numbers.every((run) => !off.has(run));
    return { label, labels, shown, colour: style.getPropertyValue(`--${colour}`).trim(), dash: DASHES[dash] };
  });
  const runs = {};
  for (const row of rows) {
    for (const [run, label] of Object.entries(row.labels)) runs[run] = { ...row, label, shown: !row.shown && !off.has(run) };
  }
  return { rows, runs };
}

async function embed(figure) {
  const item = JSON.parse(figure.querySelector('script').textContent);
  const views = await Bokeh.embed.embed_item(item, figure.querySelector('.plot'));
  const { document: drawn } = views.get_by_id(item.root_id).model;
  for (const axes of ['linear', 'log']) {
    const tools = drawn.get_model_by_name(axes)?.toolbar.tools ?? [];
    // A finger scrolls the page, until it chooses a tool.
    if (matchMedia('(pointer: coarse)').matches) for (const tool of tools) tool.active &&= tool.type === 'HoverTool';
  }
  return drawn;
}

async function chart(figure) {
  const section = figure.closest('.experiment');
  const box = figure.querySelector('.log input');
  figure.drawn ??= embed(figure);
  const drawn = await figure.drawn;
  const { rows, runs } = looks(section);
  for (const name of ['runs', 'means', 'points', 'bands', 'bands-above-0']) {
    const source = drawn.get_model_by_name(name);
    if (!source) continue;
    const { run, row, value } = source.data;
    const entries = run ? [...run].map((number) => runs[number]) : [...row].map((place) => rows[place]);
    const columns = ['label', 'colour', 'dash'].map((key) => [key, entries.map((entry) => entry[key])]);
    if (value) columns.push(['mean', entries.map(({ shown }, i) => (shown ? value[i] : NaN))]);
    else drawn.get_model_by_name(`${name}-shown`).booleans = entries.map(({ shown }) => shown);
    source.data = { ...source.data, ...Object.fromEntries(columns) };
  }
  const log = drawn.get_model_by_name('log');
  box.disabled = !log; // where nothing is positive
  if (log) {
    log.visible = box.checked;
    drawn.get_model_by_name('linear').visible = !box.checked;
  }
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

// Two pictures of one seed in one place, so that the eye sees what differs.
function pick(button, dialog) {
  const strip = button.closest('.strip');
  const first = strip.querySelector('[aria-pressed=true]');
  for (const other of all('.pick-picture')) other.ariaPressed = other === button && button !== first;
  if (!first || first === button) return;
  const pair = [button, first];
  const turn = () => {
    pair.reverse();
    dialog.querySelector('.turn').replaceChildren(pair[0].firstElementChild.cloneNode());
    dialog.querySelector('p').textContent = pair[0].firstElementChild.alt;
  };
  dialog.querySelector('.turn').onclick = turn;
  dialog.onkeydown = ({ key }) => { if (key.startsWith('Arrow')) turn(); };
  turn();
  dialog.showModal();
  button.ariaPressed = false;
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
  for (const box of boxes) if (!box.checked) for (const run of runsOf(box)) off.add(run); // as the page has it at first
  for (const box of boxes) box.addEventListener('change', () => show(section, runsOf(box), box.checked));
  for (const head of all('[aria-sort]', section)) head.firstElementChild.addEventListener('click', () => sort(head));
  for (const [kind, act] of Object.entries({ more: expand, copy })) {
    for (const button of all(`.${kind}`, section)) button.addEventListener('click', () => act(button));
  }
  for (const kind of ['all', 'none']) {
    section.querySelector(`.${kind}`)?.addEventListener('click', () => show(section, boxes.flatMap(runsOf), kind === 'all'));
  }
  section.querySelector('.as')?.addEventListener('change', () => refresh(section));
  for (const figure of all('.chart', section)) {
    figure.begin = () => chart(figure);
    figure.querySelector('.log input').addEventListener('change', figure.begin);
  }
  for (const gallery of all('.gallery', section)) {
    for (const select of all('select', gallery)) select.addEventListener('change', () => showPictures(gallery));
    for (const button of all('.pick-picture', gallery)) button.addEventListener('click', () => pick(button, document.querySelector('.flick')));
    gallery.begin = () => showPictures(gallery);
  }
  refresh(section);
}
dark.addEventListener('change', () => all('.experiment').forEach(refresh));
