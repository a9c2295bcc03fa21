"""Jobs of Slurm: what it is asked for, by programs in its place; and, on two emulated nodes, what
becomes of jobs."""

import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from genjax.training import restore
from launch.__main__ import main
from launch.run.planning import plan
from tests.programs import slurm_cluster
from tests.programs.slurm_cluster import ask, cluster, wait_for

ROOT = pathlib.Path(__file__).parents[3]
REFUSED = {
    '--mode=sample': '--on is slurm and --mode is sample; jobs train',
    '--workdir=a --sweep=seed=0:2': '--sweep trains, each point in a directory of its own; it '
    'takes no --workdir and '
    'no --mode',
    '--vmap=seed': '--vmap is given without --sweep',
    '--config.steps=many': '--config.steps takes an int, not many',
    '--config.steps=0': '--config.steps is 0; it takes 1 or more',
    '--sweep=steps=1,0': 'point 2 of the sweep, steps=0: --config.steps is 0; it takes 1 or more',
    '--slurm.partitoin=gpu': '--slurm.partitoin is no option; did you mean partition?',
    '--slurm.x=1': '--slurm.x is no option; there are: account, constraint, exclude, gres, '
    'nodelist, partition, qos, '
    'reservation, nodes, tasks_per_node, cpus_per_task, gpus, gpus_per_node, gpus_per_task, mem, '
    'mem_per_cpu, '
    'mem_per_gpu, signal, time',
    '--slurm.nodes=two': '--slurm.nodes is two; it takes a whole number, 1 or more',
    '--slurm.nodes=0': '--slurm.nodes is 0; it takes a whole number, 1 or more',
    '--slurm.tasks_per_node=1.5': '--slurm.tasks_per_node is 1.5; it takes a whole number, 1 or '
    'more',
    '--slurm.gpus=a100': '--slurm.gpus is a100; it takes a whole number, 1 or more, after a kind '
    'and a colon if need '
    'be',
    '--slurm.mem=16': '--slurm.mem is 16; it takes a whole number with K, M, G or T, as 16G',
    '--slurm.time=1h': '--slurm.time is 1h; it takes minutes, or hours:minutes:seconds with days- '
    'before them if '
    'need be',
    '--slurm.signal=USR1@60': '--slurm.signal is USR1@60; it takes TERM@SECONDS, the notice that '
    'a launch gets to '
    'save before its time is over',
    '--slurm.partition=a b': '--slurm.partition is a b; it takes words without spaces',
}


@pytest.fixture
def slurm(folder, monkeypatch):
    """Programs in the place of Slurm's: sbatch keeps scripts as job 7, 8, ...; squeue shows what
    lies in `queue`."""
    programs = folder / 'bin'
    programs.mkdir()
    (folder / 'queue').write_text('')
    lines = {
        'sbatch': f'n=$((7 + $(ls {programs} | grep -c job))); cp "$1" {programs}/job-$n; echo '
        'Submitted batch job $n',
        'squeue': f'cat {folder}/queue',
        'srun': 'false',
    }
    for name, line in lines.items():
        place(programs / name, line)
    monkeypatch.setenv('PATH', f'{programs}{os.pathsep}{os.environ["PATH"]}')
    return programs


def place(program, line):
    program.write_text(f'#!/bin/sh\n{line}\n')
    program.chmod(0o755)


def submitted(argv, capsys):
    """(state, number) of the job of each point, as printed."""
    assert main(['--exp=toy', '--on=slurm', *argv]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert (
        last == 'each prints to runs/NAME.log; python -m launch.status runs tells how far they are'
    )
    return [line.split('  ')[0] for line in lines]


@pytest.mark.parametrize('installed', (False, True))
def test_what_the_command_line_decides_is_refused_alike_with_slurm_and_without(
    installed, request, folder, capsys
):
    if installed:
        request.getfixturevalue('slurm')
    before = sorted(path.name for path in folder.iterdir())
    for options, says in REFUSED.items():
        assert main(['--exp=toy', '--on=slurm', *re.split(' (?=--)', options)]) == 2
        assert capsys.readouterr() == ('', f'{says}\n')
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_slurm_or_where_it_refuses_one_line_says_so(slurm, folder, monkeypatch, capsys):
    place(
        slurm / 'sbatch',
        'echo "sbatch: error: invalid partition\nsbatch: error: Batch job failed" >&2; exit 1',
    )
    assert main(['--exp=toy', '--on=slurm']) == 2
    assert capsys.readouterr() == (
        '',
        'sbatch: error: invalid partition sbatch: error: Batch job failed\n',
    )
    assert not list((folder / 'runs').iterdir())
    place(
        slurm / 'squeue',
        'echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1',
    )
    assert main(['--exp=toy', '--on=slurm']) == 2
    assert capsys.readouterr() == (
        '',
        'slurm_load_jobs error: Unable to contact slurm controller\n',
    )
    monkeypatch.setenv('PATH', str(folder))
    assert main(['--exp=toy', '--on=slurm']) == 2
    assert capsys.readouterr() == ('', '--on is slurm, and this machine has no sbatch\n')


def test_the_script_asks_for_what_was_asked_and_queues_a_job_again_that_was_told_to_leave(
    slurm, capsys
):
    asked = [
        '--slurm.time=1-12:00:00',
        '--slurm.gpus=a100:2',
        '--slurm.nodes=2',
        '--slurm.tasks_per_node=4',
    ]
    assert submitted([*asked, '--slurm.cpus_per_task=3', '--slurm.mem=16G'], capsys) == [
        'job 7 submitted'
    ]
    lines = (slurm / 'job-7').read_text().splitlines()
    wanted = [
        'time=1-12:00:00',
        'gpus=a100:2',
        'nodes=2',
        'tasks-per-node=4',
        'cpus-per-task=3',
        'mem=16G',
        'requeue',
    ]
    assert {
        f'#SBATCH --{option}' for option in [*wanted, 'signal=TERM@120', 'job-name=toy']
    } <= set(lines)
    assert not [line for line in lines if line.startswith('#SBATCH --array')]
    srun = next(i for i, line in enumerate(lines) if line.startswith('srun '))
    assert ' --cpus-per-task=3 ' in lines[srun]
    after = '\n'.join(lines[srun + 1 :])
    for code, again in {75: 'requeue 12\n', 0: '', 3: ''}.items():
        line = f'scontrol() {{ echo $*; }}; SLURM_JOB_ID=12; (exit {code})\n{after}'
        done = subprocess.run(['bash', '-c', line], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (code, again)
    assert submitted(['--config.seed=1'], capsys) == ['job 8 submitted']
    assert not [line for line in (slurm / 'job-8').read_text().splitlines() if '--time' in line]


def test_a_sweep_is_an_array_and_launched_again_submits_only_what_is_neither_done_nor_queued(
    slurm, folder, capsys
):
    assert main(['--exp=toy', '--config.seed=1']) == 0
    capsys.readouterr()
    sweep = ['--sweep=seed=0:4', '--workers=2']
    assert submitted(sweep, capsys) == [
        'job 7_0 submitted',
        'done',
        'job 7_1 submitted',
        'job 7_2 submitted',
    ]
    assert '#SBATCH --array=0-2%2' in (slurm / 'job-7').read_text().splitlines()
    (folder / 'queue').write_text('7_0 RUNNING\n7_2 PENDING\n70_1 PENDING\n')
    assert submitted(sweep, capsys) == [
        'job 7_0 running',
        'done',
        'job 8 submitted',
        'job 7_2 pending',
    ]
    (folder / 'queue').write_text('8 COMPLETING\n9_0 PENDING\n7_0 RUNNING\n7_2 RUNNING\n')
    assert submitted(sweep, capsys) == [
        'job 7_0 running',
        'done',
        'job 8 completing',
        'job 7_2 running',
    ]
    assert len(list(slurm.glob('job-*'))) == 2


def test_a_task_becomes_the_launch_and_heeds_no_signal_until_that_listens(tmp_path):
    program = (
        'import os, signal, sys; os.kill(os.getpid(), signal.SIGTERM); print(sys.argv[1:]); '
        'print("!", file=sys.stderr)'
    )
    (tmp_path / 'launch.py').write_text(
        program
    )  # found before the real one by -m, and not by what turns into it
    code = (
        'import sys; sys.path.pop(0); from launch.sweep.slurm import become_launch; '
        'become_launch(["--exp=a b", "-x"], "log")'
    )
    for rank in '0', '1', '0':
        given = os.environ | {'SLURM_PROCID': rank, 'PYTHONPATH': str(ROOT)}
        done = subprocess.run(
            [sys.executable, '-c', code], cwd=tmp_path, env=given, capture_output=True, text=True
        )
        said = ('', '') if rank == '0' else ("['--exp=a b', '-x']\n", '!\n')
        assert (done.returncode, done.stdout, done.stderr) == (0, *said)
    assert sorted((tmp_path / 'log').read_text().splitlines()) == sorted(
        2 * ["['--exp=a b', '-x']", '!']
    )


RUN = (
    'vae_digits --config.steps=1200 --config.batch=96 --config.widths=(8,) --config.importance=50 '
    '--config.samples=40 '
    '--config.classifier=2 --config.every.save=1200 --config.every.evaluate=600 '
    '--config.every.log=20'
)
SHORT = '--config.steps=200'


@pytest.fixture(scope='module')
def nodes(whole_machine, tmp_path_factory):
    if not slurm_cluster.installed():
        pytest.skip('Slurm is not installed')
    path = {
        'PYTHONPATH': str(ROOT),
        'JAX_COORDINATOR_ADDRESS': f'127.0.0.1:{slurm_cluster.free_port()}',
    }
    with cluster(tmp_path_factory.mktemp('slurm')) as given:
        yield given | path


def launched(given, folder, *argv):
    command = [sys.executable, '-m', 'launch', '--exp', *RUN.split(), *argv]
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def rows(run):
    """metrics.jsonl without its clocks."""
    parsed = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    return [
        {name: value for name, value in row.items() if not name.startswith('time/')}
        for row in parsed
    ]


def last_state(run, *argv):
    planned = plan(['--exp', *RUN.split(), f'--workdir={run}', *argv])
    step, state = restore(planned.experiment, mesh=planned.mesh, rules=planned.rules, workdir=run)
    return step, jax.device_get(state)


def ended(given):
    return lambda: not ask(given, 'squeue', '-h')


@pytest.mark.slow
@pytest.mark.slurm
def test_an_array_of_which_one_job_is_preempted_ends_as_runs_that_were_not(nodes, tmp_path):
    """Two points on two nodes; for the first one's node comes a job of higher priority."""
    lines = [
        line.split() for line in launched(nodes, tmp_path, '--on=slurm', '--sweep=seed=0:2')[:2]
    ]
    (job, run), (_, other) = ((words[1], tmp_path / words[3]) for words in lines)
    wait_for(lambda: (run / 'metrics.jsonl').exists() and len(rows(run)) > 2)
    node = ask(nodes, 'squeue', '-hj', job, '-o%N')
    assert ask(
        nodes, 'sbatch', '-phigh', f'-w{node}', '-o/dev/null', '--wrap', 'sleep 1'
    ).startswith('Submitted')
    wait_for(lambda: 'Restarts=1' in ask(nodes, 'scontrol', 'show', 'job', job))
    assert 'saving' in run.with_name(f'{run.name}.log').read_text()
    (saved,) = (run / 'checkpoints').glob('[0-9]*')
    assert 0 < int(saved.name) < 1200  # by no plan: every.save is 1200
    again = launched(nodes, tmp_path, '--on=slurm', '--sweep=seed=0:2')
    assert again[0].startswith(f'job {job} pending  ') and 'submitted' not in ''.join(again)
    ask(nodes, 'scontrol', 'update', f'job={job}', 'starttime=now')  # not in two minutes
    wait_for(ended(nodes), 240)
    assert [
        line.split()[0] for line in launched(nodes, tmp_path, '--on=slurm', '--sweep=seed=0:2')[:2]
    ] == 2 * ['done']
    for seed, path in enumerate((run, other)):
        whole = tmp_path / f'whole-{seed}'
        launched(nodes, tmp_path, f'--config.seed={seed}', f'--workdir={whole}')
        assert rows(path) == rows(whole)
        (_, state), (step, wanted) = (
            last_state(place, f'--config.seed={seed}') for place in (path, whole)
        )
        assert step == 1200
        jax.tree.map(np.testing.assert_array_equal, state, wanted)


@pytest.mark.slow
@pytest.mark.slurm
def test_a_job_that_is_cancelled_saves_and_stays_away(nodes, tmp_path):
    words = launched(nodes, tmp_path, '--on=slurm')[0].split()
    job, run = words[1], tmp_path / words[3]
    wait_for(lambda: (run / 'metrics.jsonl').exists() and len(rows(run)) > 2)
    ask(nodes, 'scancel', job)
    wait_for(ended(nodes))
    assert 'JobState=CANCELLED' in ask(nodes, 'scontrol', 'show', 'job', job)
    (saved,) = (run / 'checkpoints').glob('[0-9]*')
    assert 0 < int(saved.name) < 1200


@pytest.mark.slow
@pytest.mark.slurm
def test_two_tasks_on_two_nodes_train_one_run(nodes, tmp_path):
    run = tmp_path / launched(nodes, tmp_path, SHORT, '--on=slurm', '--slurm.nodes=2')[0].split()[3]
    wait_for(ended(nodes), 240)
    assert 'test/loss' in run.with_name(f'{run.name}.log').read_text()
    (launch,) = json.loads((run / 'manifest.json').read_text())['launches']
    assert launch['devices']['count'] == 2
    launched(nodes, tmp_path, SHORT, f'--workdir={tmp_path / "whole"}')
    first, wanted = rows(run)[0], rows(tmp_path / 'whole')[0]
    np.testing.assert_allclose([first[name] for name in wanted], list(wanted.values()), rtol=1e-4)
    assert last_state(run, SHORT)[0] == 200


@pytest.mark.slow
@pytest.mark.slurm
def test_seeds_that_are_one_program_are_one_job(nodes, tmp_path):
    sweep = SHORT, '--on=slurm', '--sweep=seed=0:2', '--vmap=seed'
    line, _ = launched(nodes, tmp_path, *sweep)
    assert line.split()[-1] == 'seed=0,1'
    wait_for(ended(nodes), 240)
    for path in (tmp_path / 'runs').glob('*/config.json'):
        seed = json.loads(path.read_text())['seed']
        launched(
            nodes, tmp_path, SHORT, f'--config.seed={seed}', f'--workdir={tmp_path / str(seed)}'
        )
        found, wanted = rows(path.parent)[-1], rows(tmp_path / str(seed))[-1]
        np.testing.assert_allclose(
            [found[name] for name in wanted], list(wanted.values()), rtol=1e-5
        )
    assert {path.name for path in tmp_path.iterdir()} == {'runs', '0', '1'}
    assert [line.split()[0] for line in launched(nodes, tmp_path, *sweep)] == [
        'done',
        'done',
        'each',
    ]
