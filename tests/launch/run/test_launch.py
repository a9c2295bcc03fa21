import errno
import json
import os
import pathlib
import platform
import re
import signal
import subprocess
import sys

import pytest

import experiments
from launch.__main__ import main
from launch.cli import catalogue
from launch.run import lock, rundir
from tests.folders import contents

HERE = pathlib.Path(__file__).parents[2]


pytestmark = pytest.mark.usefixtures('folder')


def only_run(folder):
    (run,) = (folder / 'runs').iterdir()
    return run


def rows(run):
    parsed = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    return [{k: v for k, v in row.items() if not k.startswith('time/')} for row in parsed]


WRONG = {
    '--exp=ty': '--exp=ty is no experiment; did you mean toy?',
    '--exp=../toy': '--exp=../toy is no experiment; did you mean toy?',
    '--exp=gaussian': '--exp=gaussian is no experiment; there are: other, toy',
    '--until=1': '--exp is missing; python -m launch --list names the experiments',
    '--exp=toy --seed=3': '--seed is no flag; did you mean --config.seed?',
    '--exp=toy --workdri=x': '--workdri is no flag; did you mean --workdir?',
    '--exp=toy seed=3': 'seed is no flag; did you mean --config.seed?',
    '--exp=toy x=3': 'x is no flag; there are: --exp, --workdir, --data_dir, '
    '--init_from, --steps, --until, --mode, --query, --checkpoint, --average, --out, --n, '
    '--labels, --sample_seed, --sample_batch, --parallel, --mesh, --fold, --seeds, --sweep, '
    '--workers, --dry_run, --vmap, --on, --distributed, --config.KEY, --slurm.KEY, --list, --help',
    '--exp=toy --vmap=seed': '--vmap is given without --sweep',
    '--exp=toy --slurm.time=3': '--slurm.time is given without --on slurm',
    '--exp=toy --on=kubernetes': '--on is kubernetes; it takes local or slurm',
    '--exp=toy --on=slurm --mode=sample': '--on is slurm and --mode is sample; jobs train',
    '--exp=toy --workdir=': '--workdir needs a value',
    '--exp=toy --workdir': '--workdir needs a value',
    '--exp=toy --config.seed --fold=2': '--config.seed needs a value',
    '--exp=toy --config.sede=1': '--config.sede is not in the config; did you mean seed?',
    '--exp=toy --config.walk.raet=1': '--config.walk.raet is not in the config; did you mean '
    'walk.rate?',
    '--exp=toy --config.seed.x=1': '--config.seed.x is not in the config; did you mean seed?',
    '--exp=toy --config.every=3': '--config.every is a group; set one of every.evaluate, '
    'every.log, every.save',
    '--exp=toy --config.steps=1.5': '--config.steps takes an int, not 1.5',
    '--exp=toy --config.steps=True': '--config.steps takes an int, not True',
    '--exp=toy --config.steps=many': '--config.steps takes an int, not many',
    '--exp=toy --config.walk.rate=fast': '--config.walk.rate takes a finite float, not fast',
    '--exp=toy --config.walk.rate=nan': '--config.walk.rate takes a finite float, not nan',
    '--exp=toy --config.walk.rate=1e999': '--config.walk.rate takes a finite float, not 1e999',
    '--exp=toy --config.walk.rate -inf': '--config.walk.rate takes a finite float, not -inf',
    '--exp=toy --config.walk.fast=1': '--config.walk.fast takes true or false, not 1',
    '--exp=toy --config.walk.sizes=3': '--config.walk.sizes takes a tuple like (1, 2), not 3',
    '--exp=toy --config.walk.sizes=(1,2.5)': '--config.walk.sizes takes a tuple like (1, 2), not '
    '(1,2.5)',
    '--exp=toy --config.walk.limit=inf': '--config.walk.limit takes none, a number, a string or a '
    'tuple, not inf',
    '--exp=toy --config.steps=0': '--config.steps is 0; it takes 1 or more',
    '--exp=toy --config.batch=-8': '--config.batch is -8; it takes 1 or more',
    '--exp=toy --config.every.save=0': '--config.every.save is 0; it takes 1 or more',
    '--exp=toy --config.seed=4294967296': '--config.seed is 4294967296; it takes 0 to 4294967295',
    '--exp=toy --config.batch=12': '--config.batch is 12; it takes a multiple of the 8 devices',
    '--exp=toy --until=5': '--until is 5; it takes 1 to 4, the steps of the config',
    '--exp=toy --until=0': '--until is 0; it takes a whole number, 1 or more',
    '--exp=toy --fold=0': '--fold is 0; it takes a whole number, 1 or more',
    '--exp=toy --fold=1.0': '--fold is 1.0; it takes a whole number, 1 or more',
    '--exp=toy --query=where': '--query is where and --mode is train; questions are for --mode '
    'evaluate',
    '--exp=toy --mode=test': '--mode is test; it takes train or evaluate or sample',
    '--exp=toy --parallel=pmpa': '--parallel is pmpa; it takes jit or pmap',
    '--exp=toy --mesh=8': '--mesh is 8; it takes data=N or data=N,model=M',
    '--exp=toy --mesh=data=4,data=2': '--mesh is data=4,data=2; it takes data=N or data=N,model=M',
    '--exp=toy --mesh=data=8,model=0': '--mesh is data=8,model=0; it takes data=N or '
    'data=N,model=M',
    '--exp=toy --mesh=data=4': '--mesh is data=4; its product must be the number of devices, 8',
    '--exp=toy --mesh=data=8,model=2': '--mesh is data=8,model=2; its product must be the number '
    'of devices, 8',
    '--exp=toy --parallel=pmap --mesh=data=4,model=2': '--parallel is pmap and --mesh has model=2; '
    'pmap splits batches only',
    '--exp=other --data_dir=x': '--data_dir is x, and other reads no prepared data',
    '--exp=toy --workdir=file': 'workdir file cannot be used: file is no directory',
    '--exp=toy --workdir=foreign': 'workdir foreign holds files and no config.json; '
    'it takes a run directory or a new one',
    '--exp=toy --workdir=broken': 'broken/config.json is not JSON',
    '--exp=toy --workdir='
    + 'a' * 300: f"[Errno {errno.ENAMETOOLONG}] File name too long: '{'a' * 300}'",
    '--exp=toy --workdir=new --mode=sample': '--mode is sample, and workdir new holds no '
    'checkpoint; train it first',
    '--exp=toy --config.fails=value': 'no data anywhere',
    '--exp=toy --config.fails=file': 'no data anywhere',
    '--exp=toy --config.fails=shape': 'update gives position as float32[2]; in the state before '
    'it is float32[]',
}


@pytest.mark.parametrize('line', WRONG)
def test_refuses_in_one_line_and_writes_nothing(line, folder, capsys):
    (folder / 'file').write_text('')
    (folder / 'foreign').mkdir()
    (folder / 'foreign/thesis.tex').write_text('')
    (folder / 'broken').mkdir()
    (folder / 'broken/config.json').write_text('{"seed"')
    before = contents(folder, without=('.lock',))
    assert main(line.split()) == 2
    assert capsys.readouterr() == ('', WRONG[line] + '\n')
    assert contents(folder, without=('.lock',)) == before


def test_refuses_a_directory_that_cannot_be_made(folder, monkeypatch, capsys):
    (folder / 'file').write_text('')
    assert main(['--exp=toy', '--workdir=file/a/b']) == 2
    assert (
        capsys.readouterr().err
        == f'workdir file/a/b cannot be used: {folder}/file is no directory\n'
    )
    monkeypatch.setattr(os, 'access', lambda path, how: False)  # root may write anywhere
    assert main(['--exp=toy', '--workdir=a/b']) == 2
    assert capsys.readouterr().err == f'workdir a/b cannot be used: {folder} is not writable\n'


def test_trains_evaluates_and_samples(folder, capsys):
    loss = 4.5 * (1 - 0.5) ** 8
    assert main(['--exp=toy']) == 0
    run = only_run(folder)
    assert capsys.readouterr().out == f'{run.relative_to(folder)}: test/loss {loss:.6g} at step 4\n'
    metrics = (run / 'metrics.jsonl').read_bytes()

    assert main(['--exp=toy', '--mode=evaluate']) == 0
    assert capsys.readouterr().out == f'step       4\ntest/loss  {loss:.6g}\n\nnear/near\nyes\n'

    for path in (run / 'samples').iterdir():
        path.unlink()
    assert main(['--exp=toy', '--mode=sample']) == 0
    files = {pathlib.Path(line) for line in capsys.readouterr().out.splitlines()}
    assert (
        files == {path.relative_to(folder) for path in (run / 'samples').iterdir()}
        and len(files) == 3
    )

    assert (run / 'metrics.jsonl').read_bytes() == metrics
    modes = [launch['flags'][1:] for launch in rundir.read(run / 'manifest.json')['launches']]
    assert modes == [[], ['--mode=evaluate'], ['--mode=sample']]


def test_answers_a_question_about_the_last_checkpoint(folder, capsys):
    assert main(['--exp=toy']) == 0
    capsys.readouterr()
    assert main(['--exp=toy', '--mode=evaluate', '--query=where']) == 0
    assert capsys.readouterr().out == 'far  0.1875\n\nplaces\nfrom  to\n0     3\n10    3\n'
    assert main(['--exp=toy', '--mode=evaluate', '--query', 'how far']) == 2
    assert capsys.readouterr().err == "'how far' is no question\n"


@pytest.mark.parametrize('how', ['--parallel=pmap', '--mesh=data=4,model=2', '--fold=2'])
def test_every_way_to_compile_comes_to_the_same_place(how, folder, capsys):
    assert main(['--exp=toy', how]) == 0
    assert f'test/loss {4.5 * 0.5**8:.6g} at step 4' in capsys.readouterr().out


def test_an_experiment_may_leave_the_intervals_to_the_trainer(capsys):
    assert main(['--exp=other', '--config.steps=2', '--workdir=a']) == 0
    assert capsys.readouterr().out == f'a: test/loss {4.5 * 0.5**4:.6g} at step 2\n'


def test_a_checkpoint_that_was_torn_is_none(folder, capsys):
    rundir.write(folder / 'config.json', rundir.identity(catalogue.load('toy').get_config()))
    (folder / 'checkpoints/2.orbax-checkpoint-tmp').mkdir(parents=True)
    before = contents(folder, without=('.lock',))
    assert main(['--exp=toy', '--workdir=.', '--mode=evaluate']) == 2
    assert capsys.readouterr().err == f'no checkpoint in {folder}/checkpoints\n'
    assert contents(folder, without=('.lock',)) == before


@pytest.mark.slow
def test_a_stop_and_the_same_command_are_one_run(folder):
    assert main(['--exp', 'toy', '--workdir', 'whole']) == 0
    assert main(['--exp', 'toy', '--workdir', 'halves', '--until', '2']) == 0
    assert rows(folder / 'halves')[-1]['step'] == 2
    assert main(['--exp', 'toy', '--workdir', 'halves']) == 0
    assert rows(folder / 'halves') == rows(folder / 'whole')
    assert len(rundir.read(folder / 'halves/manifest.json')['launches']) == 2


def test_a_signal_saves_and_exits_with_75_and_the_same_command_goes_on(folder, capfd):
    assert main(['--exp=toy', '--workdir=whole', '--config.steps=6']) == 0
    again = ['--exp=toy', '--workdir=parts', '--config.fails=signal', '--config.steps=6']
    for step, code in {2: 75, 4: 75, 6: 0}.items():  # the last one comes when all is done
        assert main(again) == code
        assert rows(folder / 'parts')[-1]['step'] == step
        assert capfd.readouterr().err == '\nsaving; a second signal leaves at once\n'
    assert rows(folder / 'parts') == rows(folder / 'whole')
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_second_signal_leaves_at_once():
    code = (
        'import os, signal; from launch.run.signals import stop_requests; e = stop_requests(); '
        'e.__enter__(); '
        'os.kill(os.getpid(), 2); os.kill(os.getpid(), 15); print("still here")'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=HERE.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (128 + 15, '')


def test_two_launches_of_one_directory_do_not_meet(folder, capsys):
    with lock.locked(folder / 'a'):
        before = contents(folder, without=('.lock',))
        assert main(['--exp=toy', '--workdir=a']) == 2
        says = f'workdir a is held by process {os.getpid()} on {platform.node()} since 20'
        assert capsys.readouterr().err.startswith(says)
        assert contents(folder, without=('.lock',)) == before
    assert main(['--exp=toy', '--workdir=a']) == 0


def test_a_number_that_is_not_finite_exits_with_3(capsys):
    assert main(['--exp=toy', '--config.walk.rate=1e30']) == 3
    out, err = capsys.readouterr()
    replay, says = err.splitlines()
    assert out == '' and says == 'step 2: loss is inf'
    assert re.fullmatch(r'python -m launch\.replay runs/toy-\w{8} --step 2 --debug_nans', replay)


def test_a_bug_shows_its_traceback():
    with pytest.raises(KeyError, match='late'):
        main(['--exp=toy', '--config.fails=late'])


def test_refuses_the_directory_of_another_run(folder, capsys):
    config = rundir.identity(catalogue.load('toy').get_config())
    rundir.claim(folder / 'a', 'toy', config, 'threes', {})
    before = contents(folder, without=('.lock',))
    here = ['--exp=toy', '--workdir=a', '--config.walk.rate=0.1', '--config.seed=1']
    assert main(here) == 2
    belongs = (
        'workdir a belongs to another config: seed is 0 there and 1 here, walk.rate is 0.5 '
        'there and 0.1 here'
    )
    assert capsys.readouterr().err == f'{belongs}\n'
    assert main([*here, '--config.steps=5', '--config.walk.name=b', '--config.batch=8']) == 2
    assert capsys.readouterr().err == (
        'workdir a belongs to another config: batch is 16 there and 8 here, seed is 0 there and 1 '
        'here, '
        'steps is 4 there and 5 here, and 2 more\n'
    )
    assert main(['--exp=other', '--workdir=a']) == 2
    assert capsys.readouterr().err == 'workdir a belongs to the experiment toy, not to other\n'
    assert (
        main(['--exp=toy', '--workdir=a', '--data_dir=elsewhere']) == 2
    )  # where toy's fingerprint is another
    assert (
        capsys.readouterr().err == 'workdir a began on the data threes, and these are elsewhere\n'
    )
    assert contents(folder, without=('.lock',)) == before


def test_list_says_what_every_experiment_is(folder, monkeypatch, capsys):
    for name, text in {
        'b': '"""The b.\n\nMore."""',
        'torn': 'def f(:\n',
        'bare': '',
        '_shared': '',
    }.items():
        (folder / f'{name}.py').write_text(text)
    monkeypatch.setattr(experiments, '__path__', [str(folder)])
    listing = 'b     The b.\nbare  (says nothing of itself)\ntorn  (does not parse: line 1)\n'
    assert main(['--list']) == 0
    assert capsys.readouterr().out == listing
    assert main([]) == 0
    usage = capsys.readouterr().out
    assert usage.startswith('python -m launch --exp NAME') and usage.endswith(listing)


def test_a_python_that_is_not_the_environments_says_so_in_a_line():
    bare = [sys.executable, '-S', '-m']  # without the installed packages
    for program in ('launch', 'launch.status', 'launch.page', 'launch.replay'):
        done = subprocess.run(
            [*bare, program, '--list'], cwd=HERE.parent, capture_output=True, text=True
        )
        says = f'jax is not installed for {sys.executable}: make venv, then . .venv/bin/activate\n'
        assert (done.returncode, done.stdout, done.stderr) == (2, '', says)


def test_a_reader_that_goes_away_is_no_error():
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with subprocess.Popen(
        [sys.executable, '-m', 'launch', '--list'], cwd=HERE.parent, **pipes
    ) as process:
        process.stdout.close()  # as head does, before it has read all
        assert (process.stderr.read(), process.wait()) == (b'', 141)


def test_list_help_and_a_misspelt_name_do_not_wait_for_jax():
    program = (
        'import sys; from launch.__main__ import main\n'
        'print([main(line) for line in ([], ["--list"], ["--help"], ["--exp=?"], ["--exp=?", '
        '"--fold=0"])])\n'
        'print([name for name in ("jax", "numpy") if name in sys.modules])'
    )
    root = HERE.parent
    done = subprocess.run(
        [sys.executable, '-c', program], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-2:] == ['[0, 0, 0, 2, 2]', '[]']
