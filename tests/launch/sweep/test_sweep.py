"""Sweeps: which points there are, that all are checked before the first starts, and how they are
run."""

import contextlib
import hashlib
import inspect
import itertools
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

import hypothesis.strategies as st
import jax
import pytest
from hypothesis import given

from genjax.training import check, make_mesh
from launch.__main__ import main
from launch.cli import catalogue
from launch.cli.flags import parse
from launch.cli.overrides import override
from launch.cli.refusal import Refused
from launch.run import planning, processor, rundir
from launch.sweep import local, points
from launch.sweep.points import Point
from tests.marks import slow

HERE = pathlib.Path(__file__).parents[2]


def test_points_are_every_combination_the_last_axis_changing_fastest(folder):
    flags = parse(
        [
            '--exp=toy',
            '--sweep=seed=0:2',
            '--sweep',
            'walk.sizes=(1,2),[3, 4]',
            '--sweep=walk.rate=1e-1,1',
        ]
    )
    product = itertools.product(('0', '1'), ('(1,2)', '[3, 4]'), ('1e-1', '1'))
    assert points.combinations(flags) == [
        dict(zip(('seed', 'walk.sizes', 'walk.rate'), p, strict=True)) for p in product
    ]


def checked(argv):
    return points.checked_points(argv, parse(argv), planning.request, planning.plan)


QUOTED = {
    'a="b,c.txt",d.txt': ['b,c.txt', 'd.txt'],
    "a='b,c' , d": ['b,c', 'd'],
    'a="it\'s","say \\"no\\""': ["it's", 'say "no"'],
    "a=it's,that's": ["it's", "that's"],
    'a="",b': ['', 'b'],
    'a="0:4"': ['0:4'],
    'a="(",")"': ['(', ')'],
    "a=('b)',),('c,',)": ["('b)',)", "('c,',)"],
    'a=(0.1,0.2),(0.3,0.4)': ['(0.1,0.2)', '(0.3,0.4)'],
    'a=" b "': [' b '],
}


@pytest.mark.parametrize('text', QUOTED)
def test_what_is_quoted_or_in_brackets_is_one_value(text):
    assert points.axis(text) == ('a', QUOTED[text])


@given(st.lists(st.text('ab,"\'\\()[]{}: \n0-é') | st.text(), min_size=1, max_size=4, unique=True))
def test_every_string_can_be_swept_as_it_is_told(values):
    labels = [points.label({'a': value}) for value in values]
    assert points.axis('a=' + ','.join(text.removeprefix('a=') for text in labels)) == ('a', values)
    assert all(text.isprintable() for text in labels)


@pytest.mark.slow
def test_commands_with_commas_and_quotes_lead_to_the_same_runs(folder, capsys):
    names = ['a,b.txt', "it's, so", 'say "no"', '']
    sweep = '--sweep=walk.name=' + ','.join(map(repr, names))
    found = checked(argv := ['--exp=toy', sweep])
    assert [point.texts['walk.name'] for point in found] == names
    assert main([*argv, '--dry_run']) == 0
    lines = [line.split('  ') for line in capsys.readouterr().out.splitlines()]
    for point, (workdir, label, _) in zip(
        found, [[part for part in line if part] for line in lines], strict=True
    ):
        words = shlex.split(shlex.join(point.argv))  # as a log and the page of runs print them
        line = ['--exp=toy', f'--sweep={label}']
        (again,) = checked(line)
        assert (
            str(point.workdir) == workdir
            and again.workdir == point.workdir == planning.request(words).workdir
        )


def test_the_experiments_own_points_are_combined_with_others(folder, monkeypatch):
    def own():
        return iter([{'walk.rate': 0.1}, {'walk.rate': 0.5, 'seed': 7}])

    monkeypatch.setattr(catalogue.load('toy'), 'sweep', own, raising=False)
    found = points.combinations(parse(['--exp=toy', '--sweep=own', '--sweep=steps=2,3']))
    assert found == [
        {'walk.rate': '0.1', 'steps': '2'},
        {'walk.rate': '0.5', 'seed': '7', 'steps': '2'},
        {'walk.rate': '0.1', 'steps': '3'},
        {'walk.rate': '0.5', 'seed': '7', 'steps': '3'},
    ]


PAGES = sorted((HERE.parent / 'experiments').glob('[a-z]*.py'))
SWEEPS = [path.stem for path in PAGES if 'def sweep()' in path.read_text()]
U_NETS = ('ddpm_digits', 'flow_digits', 'meanflow_digits')


@pytest.mark.parametrize('name', [slow(name) if name in U_NETS else name for name in SWEEPS])
def test_the_points_of_an_experiments_own_sweep_are_runs(name):
    """Each is another; the last is built and traced besides, which takes a second."""
    module, flags = catalogue.load(name), parse([f'--exp={name}', '--sweep=own'])
    found = points.combinations(flags)
    configs = [override(module.get_config(), texts) for texts in found]
    runs = {rundir.default(name, rundir.identity(config)) for config in configs}
    assert 1 < len(runs) == len(found) <= 12 and inspect.getdoc(module.sweep).count('\n') == 0
    check(module.build(configs[-1]), mesh=make_mesh(jax.devices()[:1]))


WRONG = {
    '--sweep=seed': '--sweep is seed; it takes key=a,b,c or key=0:4, or own for those of the '
    'experiment',
    '--sweep=seed=': '--sweep is seed=; it takes key=a,b,c or key=0:4, or own for those of the '
    'experiment',
    '--sweep=seed=4:4': '--sweep is seed=4:4; it takes key=a,b,c or key=0:4, or own for those of '
    'the experiment',
    '--sweep=seed=0:10001': '--sweep is seed=0:10001, 10001 values; 10000 are the most',
    '--sweep=seed=1,,2': '--sweep is seed=1,,2; it takes key=a,b,c or key=0:4, or own for those '
    'of the experiment',
    '--sweep=walk.name="a,b': '--sweep is walk.name="a,b; "a begins with a quotation mark and is '
    'no string of Python',
    '--sweep=walk.name="a"b,c': '--sweep is walk.name="a"b,c; "a"b begins with a quotation mark '
    'and is no string of '
    'Python',
    '--sweep=walk.name="a",a': '--sweep is walk.name="a",a, which has a value twice',
    '--sweep=walk.rate=0,-0.0': 'two points of the sweep are the same run, runs/toy-HASH',
    '--sweep=seed=1,2,1': '--sweep is seed=1,2,1, which has a value twice',
    '--sweep=own': '--sweep is own, and toy has no sweep of its own',
    '--sweep=seed=1,2 --sweep=seed=3': 'seed is given twice, by --sweep and --config or by two of '
    '--sweep',
    '--sweep=seed=1,2 --config.seed=3': 'seed is given twice, by --sweep and --config or by two '
    'of --sweep',
    '--sweep=sede=1,2': 'point 1 of the sweep, sede=1: --config.sede is not in the config; did '
    'you mean seed?',
    '--sweep=walk.rate=0.1,0.2,fast': 'point 3 of the sweep, walk.rate=fast: --config.walk.rate '
    'takes a finite float, '
    'not fast',
    '--sweep=walk.rate=0.1,0.10': 'two points of the sweep are the same run, runs/toy-HASH',
    '--sweep=seed=0:2 --workdir=a': '--sweep trains, each point in a directory of its own; it '
    'takes no --workdir and '
    'no --mode',
    '--dry_run': '--dry_run is given without --sweep',
    '--workers=2': '--workers is given without --sweep',
    '--sweep=seed=0:2 --workers=0': '--workers is 0; it takes a whole number, 1 or more',
    '--sweep=seed=0:2 --dry_run=maybe': '--dry_run is maybe; it takes true or false',
}


@pytest.mark.parametrize('line', WRONG)
def test_a_wrong_sweep_costs_nothing(line, folder, capsys):
    assert main(['--exp=toy', *line.split(' ')]) == 2
    says = WRONG[line]
    if 'HASH' in says:
        says = says.replace('HASH', capsys.readouterr().err.strip()[-8:])
    else:
        assert capsys.readouterr().err == f'{says}\n'
    assert not list(folder.iterdir())


def test_a_dry_run_prints_the_points_and_starts_none(folder, capsys):
    assert main(['--exp=toy', '--config.seed=1']) == 0
    capsys.readouterr()
    assert main(['--exp=toy', '--sweep=seed=0:3', '--dry_run']) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1:] for line in lines] == [
        ['seed=0', 'new'],
        ['seed=1', 'done'],
        ['seed=2', 'new'],
    ]
    assert len(list((folder / 'runs').iterdir())) == 1


def new_points(folder, n):
    return [Point({'seed': str(i)}, [], folder / f'run-{i}', 4) for i in range(n)]


def shell(line):
    """A start that runs a line of the shell in place of a launch, with $RUN set."""

    def start(point, given):
        with open(points.log_of(point), 'a') as log:
            environment = os.environ | given | {'RUN': str(point.workdir)}
            return subprocess.Popen(['sh', '-c', line], env=environment, stdout=log, stderr=log)

    return start


def test_what_is_done_is_skipped_and_a_failure_stops_no_other(tmp_path, capsys):
    found = new_points(tmp_path, 4)
    (tmp_path / 'run-1/checkpoints/4').mkdir(parents=True)
    line = (
        'case $RUN in *2) echo broken; exit 3;; *) mkdir -p $RUN/checkpoints/4; echo "$RUN: '
        'fine";; esac'
    )
    ends = local.run(found, 2, [], lambda: False, shell(line))
    assert ends == {0: (0, 'done: fine'), 2: (3, 'failed: broken'), 3: (0, 'done: fine')}
    assert [points.status(point) for point in found] == ['done', 'done', 'new', 'done']
    out = capsys.readouterr().out
    assert out.count('done: fine') == 2 and 'seed=2  failed: broken' in out and 'run-1' not in out
    assert [line.split()[0] for line in out.splitlines()] == ['[1/3]', '[2/3]', '[3/3]']
    assert local.run(
        found, 2, [], lambda: False, shell('mkdir -p $RUN/checkpoints/4; echo $RUN')
    ) == {2: (0, 'done')}


def test_so_many_at_a_time_each_on_a_device_of_its_own(tmp_path):
    line = (
        'DEVICE=$CUDA_VISIBLE_DEVICES; echo $DEVICE; mkdir on.$DEVICE || exit 1; '
        'ls -d on.* | wc -l >> count; sleep 0.3; rmdir on.$DEVICE'
    )
    local.run(
        new_points(tmp_path, 5), 2, ['0', '1'], lambda: False, shell(f'cd {tmp_path}; {line}')
    )
    assert max(map(int, (tmp_path / 'count').read_text().split())) == 2
    assert sorted(path.read_text().strip() for path in tmp_path.glob('*.log'))[::4] == ['0', '1']


def test_an_interrupted_sweep_starts_nothing_more_and_tells_what_runs_to_leave(tmp_path):
    listens = "trap 'mkdir -p $RUN/checkpoints/2; exit 75' TERM; touch $RUN.listens; sleep 5 & wait"
    line = f'case $RUN in *0) {listens};; *) touch $RUN.listens; exec sleep 5;; esac'

    def both_listen():
        return len(list(tmp_path.glob('*.listens'))) == 2

    ends = local.run(new_points(tmp_path, 4), 2, [], both_listen, shell(line))
    assert ends == {
        0: (75, 'stopped at step 2 of 4'),
        1: (75, 'stopped before its first checkpoint'),
    }


TRACEBACK = (
    'Traceback (most recent call last):\n  at\nKeyError: 1\n\nDuring:\n\nTraceback (most recent '
    'call last):\n'
    '  File "a"\n    x = y\nValueError: no\nin two lines\n-----\nFor simplicity, JAX\n'
)
SAID = {  # (log, exit code): how it ended
    ('one\n\ntwo\n', 2): 'failed: two',
    ('', 9): 'failed: exit code 9, and its log says nothing',
    (
        '$ python -m launch a\nold\n$ python -m launch a\n',
        1,
    ): 'failed: exit code 1, and its log says nothing',
    ('$ python -m launch a\nold\n$ python -m launch a\nnew\n', 1): 'failed: new',
    (TRACEBACK, 1): 'failed: ValueError: no',
    (TRACEBACK + 'step 3: loss is nan\n', 3): 'failed: step 3: loss is nan',
    (TRACEBACK + 'here: test/loss 1\n', 0): 'done: here: test/loss 1',
}


@pytest.mark.parametrize(('log', 'code'), SAID)
def test_how_a_launch_ended_is_what_it_said_last_or_its_error(log, code, tmp_path):
    (point,) = new_points(tmp_path, 1)
    points.log_of(point).write_text(log)
    assert local.outcome_text(point, code) == SAID[log, code]


def test_a_worker_that_vanishes_is_told_of_in_one_line_and_the_others_go_on(tmp_path, capsys):
    line = (
        'case $RUN in *0) echo half a step; kill -9 $$;; *1) exit 5;; *2) exit 143;; *) rm '
        '$RUN.log; exit 1;; esac'
    )
    ends = local.run(found := new_points(tmp_path, 4), 1, [], lambda: False, shell(line))
    says = [
        'killed by signal 9',
        *(f'exit code {code}, and its log says nothing' for code in (5, 1)),
    ]
    assert ends == {
        0: (-9, says[0]),
        1: (5, f'failed: {says[1]}'),
        2: (143, 'killed by signal 15'),
        3: (1, f'failed: {says[2]}'),
    }
    assert [line.split('  ')[0] for line in capsys.readouterr().out.splitlines()] == [
        f'[{i + 1}/4] {point.workdir}' for i, point in enumerate(found)
    ]


def test_a_log_that_cannot_be_written_fails_its_point_alone(tmp_path, capsys):
    found = new_points(tmp_path, 2)
    points.log_of(found[0]).mkdir()

    def start(point, given):
        return (local.start_launch if point is found[0] else shell('exit 0'))(point, given)

    ends = local.run(found, 1, [], lambda: False, start)
    assert ends == {0: (2, f'failed: Is a directory: {points.log_of(found[0])}'), 1: (0, 'done')}


def test_a_directory_that_cannot_be_used_fails_its_point_alone(folder, monkeypatch, capsys):
    command = ['--exp=toy', '--sweep=seed=0:4']
    assert main([*command, '--dry_run']) == 0
    runs = [pathlib.Path(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    runs[0].parent.mkdir()
    runs[1].write_text('')
    runs[2].mkdir()
    rundir.write(runs[2] / 'config.json', {'seed': 9})
    run = local.run
    monkeypatch.setattr(
        local, 'run', lambda *args: run(*args, shell('mkdir -p $RUN/checkpoints/4'))
    )
    monkeypatch.setattr(local, 'accelerators', lambda: contextlib.nullcontext(list))
    assert main(command) == 2
    lines = [line.split('  ') for line in capsys.readouterr().out.splitlines()]
    says = {
        runs[0]: 'done',
        runs[1]: f'failed: workdir {runs[1]} cannot be used: {runs[1]} is no directory',
        runs[
            2
        ]: f'failed: workdir {runs[2]} belongs to another config: batch is absent there and 16 '
        'here, ',
        runs[3]: 'done',
    }
    table = lines[4:]
    assert [(place, said[: len(says[pathlib.Path(place)])]) for place, _, said in table] == [
        (str(run), said) for run, said in says.items()
    ]
    assert runs[1].read_text() == '' and rundir.read(runs[2] / 'config.json') == {'seed': 9}


def test_workers_that_share_a_device_share_its_memory(monkeypatch):
    for name in local.FRACTION:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(local, 'AFFINITY', False)
    assert local.worker_variables(1, 4, []) == {}

    def variables(device):
        return {'CUDA_VISIBLE_DEVICES': device, 'TPU_VISIBLE_CHIPS': device}

    assert local.worker_variables(1, 2, ['0', '1']) == variables('1')
    found = [local.worker_variables(slot, 5, ['4', '7']) for slot in range(5)]
    thirds, halves = {local.FRACTION[1]: '0.300'}, {local.FRACTION[1]: '0.450'}
    assert found == [variables('4') | thirds, variables('7') | halves] * 2 + [
        variables('4') | thirds
    ]
    monkeypatch.setenv(local.FRACTION[0], '0.2')  # jax refuses to be given both
    assert local.worker_variables(0, 2, ['0']) == variables('0')


@pytest.mark.skipif(not local.AFFINITY, reason='this system keeps no process to some of its cores')
def test_workers_without_accelerators_are_dealt_the_cores_and_compute_as_with_all(
    tmp_path, monkeypatch
):
    monkeypatch.delenv(local.THREADS, raising=False)
    own = sorted(os.sched_getaffinity(0))
    ask = (
        'import os, sys; sys.stdin.read(); print(sorted(os.sched_getaffinity(0)), '
        'os.environ.get("NPROC"))'
    )
    processes = {}

    def start(point, given):
        with open(tmp_path / point.texts['seed'], 'w') as out:
            pipes = dict(stdin=subprocess.PIPE, stdout=out, env=os.environ | given)
            processes[point.texts['seed']] = subprocess.Popen([sys.executable, '-c', ask], **pipes)
        return processes[point.texts['seed']]

    def hurried():
        for process in processes.values():  # kept to their cores by now
            process.stdin.close()
        return False

    local.run(new_points(tmp_path, 2), 2, [], hurried, start)
    answers = [(tmp_path / str(i)).read_text().strip() for i in range(2)]
    assert answers == [f'{own[i % len(own) :: 2]} {len(own)}' for i in range(2)]
    assert local.worker_variables(0, 1, []) == {}  # alone it has all of them
    monkeypatch.setenv(local.THREADS, '3')
    assert local.worker_variables(0, 2, []) == {} and processor.cores() == 3


def test_accelerators_are_those_that_are_visible_or_it_is_said_why_there_are_none(
    tmp_path, monkeypatch
):
    jax = tmp_path / 'jax.py'
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    for name in local.VISIBLE:
        monkeypatch.delenv(name, raising=False)

    def numbers():
        with local.accelerators() as found:
            return found()

    jax.write_text('default_backend, local_device_count = lambda: "gpu", lambda: 2')
    assert numbers() == ['0', '1']
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '3,GPU-8932f937')
    assert numbers() == ['3', 'GPU-8932f937']
    jax.write_text('default_backend, local_device_count = lambda: "cpu", lambda: 1')
    assert numbers() == []
    jax.write_text('raise RuntimeError("the driver is too old")')
    with pytest.raises(Refused, match='^no device was found: RuntimeError: the driver is too old$'):
        numbers()


@pytest.mark.parametrize(
    ('codes', 'code'), [((0, 0), 0), ((0, 75), 75), ((3, 75), 1), ((3, -9), 2)]
)
def test_the_exit_code_counts_failures_or_says_that_one_was_stopped(
    codes, code, folder, monkeypatch, capsys
):
    ends = {i: local.Outcome(code, f'it was {code}') for i, code in enumerate(codes)}
    monkeypatch.setattr(local, 'run', lambda *args: ends)
    monkeypatch.setattr(local, 'accelerators', lambda: contextlib.nullcontext(list))
    assert main(['--exp=toy', '--sweep=seed=0:2']) == code
    lines = capsys.readouterr().out.splitlines()
    assert [line.split('  ')[1:] for line in lines] == [
        [f'seed={i}', 'new' if code == 0 else f'it was {code}'] for i, code in enumerate(codes)
    ]


SMOKE = {
    'vae_digits': '--config.steps=400 --config.widths=(8,) --config.importance=50 '
    '--config.samples=40 '
    '--config.classifier=2 --config.every.save=20 --config.every.log=20',
    'ddpm_digits': '--config.steps=24 --config.ddpm.steps=6 --config.unet.width=8 '
    '--config.every.save=2 '
    '--config.every.log=2',
    'gan_digits': '--config.steps=400 --config.widths=(8,) --config.samples=40 '
    '--config.classifier=2 '
    '--config.every.save=20 --config.every.log=20',
}


def command(name):
    return [
        sys.executable,
        '-m',
        'launch',
        '--exp',
        name,
        *SMOKE[name].split(),
        '--sweep=seed=0:4',
        '--workers=2',
    ]


def results(folder):
    """A digest of metrics.jsonl without its clocks, norms of gradients among them, by run."""
    found = {}
    for run in sorted((folder / 'runs').glob('*-????????')):
        rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
        rows = [
            {name: value for name, value in row.items() if not name.startswith('time/')}
            for row in rows
        ]
        found[run.name] = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return found


@pytest.mark.slow
@pytest.mark.parametrize('name', SMOKE)
def test_a_sweep_that_is_killed_and_launched_again_ends_as_one_that_was_not(name, tmp_path):
    """Four points; parent and workers are killed with -9 when a first checkpoint lies there."""
    whole, killed = (
        dict(cwd=tmp_path / place, env=os.environ | {'PYTHONPATH': str(HERE.parent)})
        for place in 'ab'
    )
    for place in 'ab':
        (tmp_path / place).mkdir()
    subprocess.run(command(name), check=True, **whole)
    parent = subprocess.Popen(command(name), start_new_session=True, **killed)
    while not list((tmp_path / 'b/runs').glob('*/checkpoints/[0-9]*')):
        assert parent.poll() is None
        time.sleep(0.1)
    children = subprocess.run(
        ['pgrep', '-P', str(parent.pid)], capture_output=True, text=True
    ).stdout.split()
    for process in [parent.pid, *map(int, children)]:
        os.kill(process, signal.SIGKILL)
    parent.wait()
    subprocess.run(command(name), check=True, **killed)
    assert len(results(tmp_path / 'a')) == 4
    assert results(tmp_path / 'b') == results(tmp_path / 'a')
