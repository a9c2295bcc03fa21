"""The page of runs: what it says, that nothing in a run directory can break it, and that it works
in a browser."""

import base64
import hashlib
import html.parser
import json
import pathlib
import re
import shlex
import urllib.parse

import numpy as np
import pytest
from PIL import Image

from launch.page import main
from launch.viewer import pictures, plots
from launch.viewer.groups import final_metrics, groups
from launch.viewer.page import GENERATOR, page
from launch.viewer.reading import find_runs, read_run
from launch.viewer.runs import last_metrics
from launch.viewer.table import columns, group_cells


def make(
    folder, name, config=None, rows=(), *, ended=None, done=True, images=(), argv=('--exp=toy',)
):
    """A run directory as a launch leaves it."""
    run = folder / name
    (run / 'samples').mkdir(parents=True)
    launch = {
        'flags': list(argv),
        'source': {'commit': 'c0ffee' * 6, 'dirty': True},
        'devices': {'kind': 'cpu', 'count': 2, 'platform': 'cpu'},
    } | ({} if ended is None else {'ended': ended})
    (run / 'config.json').write_text(json.dumps({'seed': 0, 'steps': 4} | (config or {})))
    (run / 'manifest.json').write_text(json.dumps({'experiment': 'toy', 'launches': [launch]}))
    (run / 'metrics.jsonl').write_text(''.join(f'{json.dumps(row)}\n' for row in rows))
    if done and ended is None:
        (run / 'checkpoints/4').mkdir(parents=True)
    for i, step in enumerate(images):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 24, 3), np.uint8)
        Image.fromarray(pixels).save(run / f'samples/samples_grid_{step:08d}.png')
    return run


def course(level=1.0, steps=4):
    """Rows of metrics that end with a test loss of this level."""
    learnt = [{'step': s, 'loss': level + 1 / s, 'time/seconds': 10.0 * s} for s in range(1, steps)]
    return [
        *learnt,
        {'step': steps, 'loss': level, 'test/loss': level, 'time/seconds': 10.0 * steps},
    ]


class Reader(html.parser.HTMLParser):
    """The elements of a page in order, as (tag, attributes, text within), and that each is closed
    where it must be."""

    EMPTY = ('meta', 'input', 'img', 'path', 'br')

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))
        if tag not in self.EMPTY:
            self.open.append(self.found[-1])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs), []))

    def handle_data(self, data):
        for _, _, words in self.open:
            words.append(data)


def elements(text, tag, **wanted):
    """The elements with this tag and these attributes, as (attributes, text)."""
    found = [
        (attrs, ' '.join(''.join(words).split()))
        for name, attrs, words in Reader(text).found
        if name == tag
    ]
    return [
        (attrs, words)
        for attrs, words in found
        if all(attrs.get(k.rstrip('_')) == v for k, v in wanted.items())
    ]


def test_runs_that_differ_in_their_seed_have_a_mean_and_a_deviation(tmp_path):
    values = {0: 1.0, 1: 2.5, 2: 4.0}
    for seed, value in values.items():
        make(tmp_path, f'a{seed}', {'seed': seed, 'rate': 0.1}, course(value))
        make(tmp_path, f'b{seed}', {'seed': seed, 'rate': 0.01}, course(2 * value))
    runs = find_runs([tmp_path])
    first, second = groups(runs, ['rate'])
    assert [run.workdir.name for run in first.runs] == [
        'b0',
        'b1',
        'b2',
    ]  # the smaller rate comes first
    for group, factor in ((first, 2), (second, 1)):
        found, wanted = final_metrics(group)['test/loss'], factor * np.array(list(values.values()))
        np.testing.assert_allclose(found[:2], [wanted.mean(), wanted.std(ddof=1)], rtol=1e-12)
    names, cells = columns(runs).names, group_cells(second, columns(runs))
    assert names == ['status', 'rate', 'seed', 'test/loss', 'step', 'time', 'device', 'commit']
    assert [cell.text for cell in cells] == [
        '3 done',
        '0.1',
        '3 seeds',
        '2.5 ± 1.5',
        '',
        '0:00:40',
        '',
        '',
    ]


def test_a_number_of_a_config_is_shown_in_six_digits_and_whole_under_the_pointer(tmp_path):
    for name, rate in (('a', 0.1 + 0.2), ('b', 1e-7)):
        make(tmp_path, name, {'seed': 0, 'rate': rate}, course(1.0))
    runs = find_runs([tmp_path])
    shown = [group_cells(group, columns(runs))[1] for group in groups(runs, ['rate'])]
    assert [cell.text for cell in shown] == ['1e-07', '0.3']
    assert shown[1].order == 0.1 + 0.2
    assert shown[1].title == '0.30000000000000004'


def test_a_mean_is_over_runs_that_are_done_and_hides_no_number_that_was_not_finite(tmp_path):
    make(tmp_path, 'a', {'seed': 0}, course(1.0))
    make(tmp_path, 'b', {'seed': 1}, course(3.0))
    make(tmp_path, 'c', {'seed': 2}, course(100.0), done=False)
    (group,) = groups(find_runs([tmp_path]), [])
    assert final_metrics(group)['test/loss'] == (2.0, pytest.approx(2**0.5), 2)
    make(tmp_path, 'd', {'seed': 3}, [{'step': 4, 'test/loss': None}])
    (group,) = groups(find_runs([tmp_path]), [])
    assert final_metrics(group)['test/loss'] == (None, None, 3)


def test_the_page_shows_every_run_with_what_sets_it_apart(tmp_path):
    make(
        tmp_path,
        'a',
        {'rate': 0.1},
        course(1.25),
        argv=['--exp', 'toy', '--until', '2', '--config.name=a b'],
    )
    make(tmp_path, 'b', {'rate': 1.0}, course(2.0), ended='step 3: loss is nan')
    text = page(find_runs([tmp_path]), tmp_path)
    heads = [words for _, words in elements(text, 'button', class_='sort')]
    assert heads == [
        'run',
        'status',
        'rate',
        'seed',
        'test/loss',
        'step',
        'time',
        'device',
        'commit',
    ]
    rows = [words for _, words in elements(text, 'tr', class_='run')]
    assert rows[0].startswith('a done 0.1 0 1.25 4 0:00:40 2 x cpu c0ffeec*')
    assert rows[1].startswith('b failed 1.0 0 2 4 0:00:40')
    assert [words for _, words in elements(text, 'q')] == ['step 3: loss is nan']
    commands = [words for _, words in elements(text, 'pre')]
    assert shlex.split(commands[0]) == [
        'python',
        '-m',
        'launch',
        '--exp',
        'toy',
        '--config.name=a b',
    ]
    assert [words for _, words in elements(text, 'dl')] == ['steps4']  # what both have


def test_links_lead_from_the_page_to_the_manifests(tmp_path):
    make(tmp_path, 'runs/a #1?%20&', {}, course())
    (tmp_path / 'pages').mkdir()
    text = page(find_runs([tmp_path / 'runs']), tmp_path / 'pages')
    ((attrs, _),) = elements(text, 'a')
    assert (
        (tmp_path / 'pages' / urllib.parse.unquote(attrs['href']))
        .resolve()
        .samefile(tmp_path / 'runs/a #1?%20&/manifest.json')
    )
    assert not re.search(r'[#?& ]', attrs['href'])


HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)<!--{{ 7 * 7 }}'


def test_nothing_in_a_run_directory_becomes_html(tmp_path):
    harmless = make(tmp_path, 'x/a', {}, course(), ended='late', images=[4])
    plain = [tag for tag, _, _ in Reader(page([read_run(harmless)], tmp_path)).found]
    run = make(
        tmp_path,
        f'y/{HOSTILE}',
        {HOSTILE: 1, 'name': HOSTILE, 'seed': HOSTILE},
        course(),
        ended=HOSTILE,
        images=[4],
    )
    metrics = (run / 'metrics.jsonl').read_text().replace('"loss"', json.dumps(HOSTILE))
    (run / 'metrics.jsonl').write_text(metrics)
    text = page([read_run(run)], tmp_path)
    tags = [tag for tag, _, _ in Reader(text).found]
    assert [tag for tag in tags if tag not in ('div', 'dt', 'dd')] == [
        t for t in plain if t not in ('div', 'dt', 'dd')
    ]
    assert 'onerror' not in {key for _, attrs, _ in Reader(text).found for key in attrs}
    assert elements(text, 'q')[0][1] == HOSTILE and '49' not in elements(text, 'q')[0][1]
    assert elements(text, 'dt')[1][1] == HOSTILE


def test_what_is_torn_or_missing_is_left_out(tmp_path):
    whole = make(tmp_path, 'whole', {'rate': 0.1}, course(), images=[2, 4])
    torn = make(tmp_path, 'torn', {'rate': 0.2}, course(7.0), images=[4], done=False)
    with open(torn / 'metrics.jsonl', 'a') as file:
        file.write('{"step": 5, "lo')
    picture = torn / 'samples/samples_grid_00000004.png'
    picture.write_bytes(picture.read_bytes()[:40])
    for name, content in {
        'manifest.json': '{"expe',
        'config.json': '[1]',
        'metrics.jsonl': '\xff\n3\n',
    }.items():
        empty = make(tmp_path, f'no-{name}', {}, course())
        (empty / name).write_bytes(content.encode('latin1'))
    bare = make(tmp_path, 'bare')
    for name in ('manifest.json', 'metrics.jsonl'):
        (bare / name).unlink()
    text = page(find_runs([tmp_path]), tmp_path)
    rows = {
        words.split()[0]
        for _, words in elements(text, 'tr', class_='run') + elements(text, 'tr', class_='mean')
    }
    assert {'whole', 'torn'} <= rows
    assert len(elements(text, 'img')) == 2
    assert (read_run(whole).step, read_run(torn).step, last_metrics(read_run(torn))) == (
        4,
        4,
        {'test/loss': 7.0},
    )


def test_a_run_that_left_only_a_log_is_there_with_its_reason(tmp_path):
    make(tmp_path, 'toy-00000001', {}, course())
    (tmp_path / 'toy-00000002.log').write_text('Traceback\n  File\nOSError: no space\n\n')
    done, lost = find_runs([tmp_path])
    assert (lost.experiment, lost.status, lost.reason, done.reason) == (
        'toy',
        'stopped',
        'OSError: no space',
        '',
    )
    text = page([done, lost], tmp_path)
    assert [words for _, words in elements(text, 'q')] == ['OSError: no space']
    assert len(elements(text, 'a')) == 1 and len(elements(text, 'pre')) == 1


def test_looking_at_a_run_is_no_launch_of_it(tmp_path):
    run = make(tmp_path, 'a', {}, course(), ended='step 3: loss is nan')
    manifest = json.loads((run / 'manifest.json').read_text())
    manifest['launches'].append({'flags': ['--exp=toy', '--mode', 'evaluate']})
    (run / 'manifest.json').write_text(json.dumps(manifest))
    assert read_run(run).status == 'step 3: loss is nan'


def test_the_same_runs_give_the_same_page_which_needs_nothing_else(tmp_path):
    for seed in range(3):
        make(tmp_path, f'a{seed}', {'seed': seed}, course(seed), images=[2, 4])
    text = page(find_runs([tmp_path]), tmp_path)
    assert text == page(find_runs([tmp_path]), tmp_path)
    addresses = [
        a[k]
        for _, a, _ in Reader(text).found
        for k in ('src', 'href', 'data-src', 'action')
        if k in a
    ]
    assert {re.sub(r'(?s),.*', '', address) for address in addresses} == {
        'data:image/webp;base64',
        *(f'a{seed}/manifest.json' for seed in range(3)),
    }
    scripts = re.findall(r'(?s)<script>(.*?)</script>', text)
    assert scripts[0] == plots.script()
    assert 'http' not in text.replace(scripts[0], '').replace('http-equiv', '')
    ((attrs, _),) = [
        meta
        for meta in elements(text, 'meta')
        if 'content' in meta[0] and 'default-src' in meta[0]['content']
    ]
    allowed = re.search(r'script-src (.*?);', attrs['content'])[1]
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert allowed == ' '.join(f"'sha256-{digest}'" for digest in digests)


def test_a_page_without_a_curve_has_no_script_to_draw_one(tmp_path):
    make(tmp_path, 'a', {}, [{'step': 1, 'loss': 1.0}])
    assert len(page(find_runs([tmp_path]), tmp_path)) < 50_000


def test_of_more_groups_than_lines_can_be_told_apart_those_of_the_lowest_test_loss_are_ticked(
    tmp_path,
):
    losses = np.random.default_rng(0).permutation(24)
    for i, loss in enumerate(losses):
        make(tmp_path, f'a{i:02d}', {'seed': 0, 'rate': i}, course(float(loss)))
        make(tmp_path, f'b{i:02d}', {'seed': 1, 'rate': i}, course(float(loss)))
    text = page(find_runs([tmp_path]), tmp_path)
    chips = text[text.index('class="chips"') :]
    boxes = re.findall(
        r'<input type="checkbox"( checked)? data-runs="[^"]*".*?<path class="(.*?)"', chips
    )
    assert [bool(checked) for checked, _ in boxes] == [loss < 10 for loss in losses]
    # and these ten look the most unlike each other
    assert len({style for checked, style in boxes if checked}) == 10
    assert {style.split()[1] for checked, style in boxes if checked} == {'d0', 'd1'}
    assert '10 of 24 are shown at first: those of the lowest test/loss.' in text


def test_of_too_many_pictures_the_last_of_every_run_come_first_and_steps_match():
    many = [
        pictures.Picture(run, 'grid', step, pathlib.Path())
        for run in range(3)
        for step in range(1, 10)
    ]

    def steps(most):
        return [
            sorted(p.step for p in pictures.select(many, most) if p.run == run) for run in range(3)
        ]

    assert steps(3) == [[9]] * 3
    assert steps(6) == [[1, 9]] * 3
    assert steps(9) == [[1, 5, 9]] * 3
    assert steps(15) == [[1, 3, 5, 7, 9]] * 3
    assert pictures.select(many, 100) == many


def test_a_picture_is_made_small_and_a_film_is_its_last_frame(tmp_path):
    frames = [Image.new('RGB', (1000, 500), colour) for colour in ('red', 'blue')]
    frames[0].save(tmp_path / 'film.gif', save_all=True, append_images=frames[1:])
    image = pictures.embed(tmp_path / 'film.gif')
    assert (image.width, image.height) == (320, 160)
    (tmp_path / 'a.webp').write_bytes(base64.b64decode(image.address.partition(',')[2]))
    with Image.open(tmp_path / 'a.webp') as small:
        red, _, blue = small.convert('RGB').getpixel((100, 100))
    assert red < 20 and blue > 235


def test_an_earlier_page_is_replaced_and_nothing_else_is(tmp_path, monkeypatch, capsys):
    make(tmp_path, 'runs/a', {}, course())
    monkeypatch.chdir(tmp_path)
    assert main(['runs']) == 0
    first = (tmp_path / 'page.html').read_text()
    assert (
        first.index(GENERATOR) < 200
        and capsys.readouterr().out == f'page.html: {len(first) / 1e6:.1f} MB\n'
    )
    make(tmp_path, 'runs/b', {'seed': 1}, course())
    assert main(['runs', '-o', 'page.html']) == 0
    assert (tmp_path / 'page.html').read_text() != first
    (tmp_path / 'thesis.html').write_text('<p>years of work')
    assert main(['runs', '-o', 'thesis.html']) == 2
    assert (tmp_path / 'thesis.html').read_text() == '<p>years of work'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['page.html', 'runs', 'thesis.html']


WRONG = {
    '': 'RUNS is missing; it takes run directories, or folders that hold them',
    'runs -o': '-o needs a value',
    'runs --out=x': '--out is no flag; there are: -o, --help',
    'nowhere': 'nowhere is no directory',
    'empty': 'empty holds no run',
    'runs -o no/page.html': '-o is no/page.html, and no is no directory',
    'runs -o runs': '-o is runs, which is a directory',
    'runs -o file': '-o is file, which launch.page did not make; it takes a new file or an '
    'earlier page',
}


@pytest.mark.parametrize('line', WRONG)
def test_refuses_in_one_line_and_writes_nothing(line, tmp_path, monkeypatch, capsys):
    make(tmp_path, 'runs/a', {}, course())
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file').write_text('')
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob('*'))
    assert main(line.split()) == 2
    assert capsys.readouterr() == ('', WRONG[line] + '\n')
    assert sorted(tmp_path.rglob('*')) == before
    assert main(['--help']) == 0
