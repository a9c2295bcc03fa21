"""What the operating system refuses: a disk that fills up, a file that goes, a directory that
cannot be used."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from launch.__main__ import main
from launch.cli import catalogue
from launch.run import os_errors, rundir
from tests.marks import slow

ROOT = pathlib.Path(__file__).parents[3]


def mount(place, *options):
    """Mounts an empty file system in memory; the test is skipped where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', ','.join(options), 'tmpfs', str(place)], capture_output=True
    )
    if done.returncode:
        pytest.skip(f'no tmpfs can be mounted: {done.stderr.decode().strip()}')


@pytest.fixture
def disk(folder):
    """A disk of 1 MB."""
    mount(folder / 'disk', 'size=1m')
    yield folder / 'disk'
    subprocess.run(['umount', '--lazy', str(folder / 'disk')], check=True)


def resize(disk, size):
    subprocess.run(['mount', '-o', f'remount,size={size}', str(disk)], check=True)


def rows(run):
    """What metrics.jsonl holds up to its last whole line, without clocks."""
    lines = (run / 'metrics.jsonl').read_text().splitlines(keepends=True)
    parsed = [json.loads(line) for line in lines if line.endswith('\n')]
    return [{k: v for k, v in row.items() if not k.startswith('time/')} for row in parsed]


def goes_on(command, run, whole):
    """The same command goes on from what was left, which is the beginning of a run that met
    nothing."""
    before = rows(run) if (run / 'metrics.jsonl').exists() else []
    assert before == whole[: len(before)]
    assert main(command) == 0
    assert rows(run) == whole


SIZES = ['208k', *map(slow, ('72k', '124k', '160k', '176k', '240k'))]


@pytest.mark.parametrize('size', SIZES)
def test_a_disk_that_fills_up_ends_the_run_in_one_line_and_costs_no_checkpoint(size, disk, capfd):
    common = ['--exp=toy', '--config.steps=12']
    assert main([*common, '--workdir=whole']) == 0
    command, run = [*common, '--workdir=disk/run'], disk / 'run'
    resize(disk, size)
    capfd.readouterr()
    assert main(command) == os_errors.IO_ERROR
    step = rundir.last_step(run)
    stays = (
        f'the checkpoint of step {step} stays, and the same command goes on from it'
        if step
        else None
    )
    says = (
        f'workdir disk/run: No space left on device; {stays or "no checkpoint had been written"}\n'
    )
    assert capfd.readouterr() == ('', says)
    assert main(command) in (2, os_errors.IO_ERROR)
    out, err = capfd.readouterr()
    assert out == '' and err.startswith('workdir disk/run: ') and err.count('\n') == 1
    assert rundir.last_step(run) == step
    resize(disk, '4m')
    goes_on(command, run, rows(disk.parent / 'whole'))


@pytest.mark.slow
def test_a_data_file_that_goes_ends_the_run_in_one_line(folder, monkeypatch, capsys):
    module, data = catalogue.load('toy'), folder / 'data'
    build = module.build

    class Threes:
        """Batches that are read from a file, which goes after the third."""

        def __getitem__(self, step):
            with data.open():
                if step == 2 and lost:
                    data.rename(lost.pop())
                return build(module.get_config()).data.train[step]

    def built(config):
        experiment = build(config)
        return experiment._replace(data=experiment.data._replace(train=Threes()))

    monkeypatch.setattr(module, 'build', built)
    data.touch()
    lost = []
    command = ['--exp=toy', '--fold=1', '--config.steps=6']
    assert main([*command, '--workdir=whole']) == 0
    lost = [folder / 'elsewhere']
    capsys.readouterr()
    assert main([*command, '--workdir=a']) == os_errors.IO_ERROR
    why = f'No such file or directory: {data}'
    step = rundir.last_step(folder / 'a')
    assert capsys.readouterr().err == (
        f'workdir a: {why}; the checkpoint of step {step} stays, and the same command goes on '
        'from it\n'
    )
    assert rundir.read(folder / 'a/manifest.json')['launches'][-1]['ended'] == why
    assert main([*command, '--workdir=a']) == 2
    assert capsys.readouterr().err == f"[Errno 2] No such file or directory: '{data}'\n"
    (folder / 'elsewhere').rename(data)
    goes_on([*command, '--workdir=a'], folder / 'a', rows(folder / 'whole'))


def test_a_bug_is_noted_in_the_manifest_and_shows_its_traceback(folder):
    """In a probe: what goes wrong where a map is traced is met before there is a directory."""
    with pytest.raises(KeyError):
        main(['--exp=toy', '--workdir=a', '--config.fails=late'])
    assert rundir.read(folder / 'a/manifest.json')['launches'][-1]['ended'] == "KeyError: 'late'"


def test_what_is_an_error_of_the_system():
    full = (
        'RESOURCE_EXHAUSTED: Error writing local file "a": Failed to write 3 bytes '
        "[os_error_code='28']"
    )
    assert os_errors.describe(ValueError(full)) == 'No space left on device'
    assert os_errors.describe(OSError(28, 'No space left on device')) == 'No space left on device'
    assert os_errors.describe(FileNotFoundError(2, 'No such file', 'a/b')) == 'No such file: a/b'
    assert os_errors.describe(TimeoutError('nothing came')) == 'nothing came'
    assert (
        os_errors.describe(ValueError('full')) is None
        and os_errors.describe(KeyError(full)) is None
    )
    assert os_errors.describe(None) is None


@pytest.mark.slow
def test_every_mishap_of_a_sweep_is_a_line_of_its_table_and_the_others_go_on(disk, tmp_path):
    """Two points are not finite from the second step on; a worker is killed; then the same on a
    disk that fills up."""
    axes = [
        '--sweep=generator.learning_rate=1.0,1e39',
        '--sweep=seed=0:2',
        '--config.steps=40',
        '--config.every.save=10',
    ]
    command = [sys.executable, '-m', 'launch', '--exp=gan_finite', *axes]

    def there(place):
        return dict(
            cwd=place, text=True, env=os.environ | {'PYTHONPATH': str(ROOT)}, stdout=subprocess.PIPE
        )

    def ended(done, out):
        """The exit code, and how each point ended by the table at the end."""
        return done.returncode, [line.split('  ')[-1].strip() for line in out.splitlines()[-4:]]

    sweep = subprocess.Popen(command, **there(tmp_path))
    while not list((tmp_path / 'runs').glob('*.log')):
        time.sleep(0.05)
    worker = subprocess.run(
        ['pgrep', '-P', str(sweep.pid), '-f', 'gan_finite'], capture_output=True
    ).stdout.split()
    os.kill(int(worker[0]), signal.SIGKILL)
    code, says = ended(sweep, sweep.communicate()[0])
    assert code == 3 and says[:2] == ['killed by signal 9', 'done']
    assert says[2:] == ['failed: step 2: loss is nan'] * 2
    done = subprocess.run(command, **there(tmp_path))
    assert ended(done, done.stdout) == (2, ['done', 'done', *says[2:]])

    resize(disk, '300k')
    done = subprocess.run(command, **there(disk))
    code, failures = ended(done, done.stdout)
    assert code == 4 and all('No space left on device' in said for said in failures), failures
    resize(disk, '8m')
    done = subprocess.run(command, **there(disk))
    assert ended(done, done.stdout) == (2, ['done', 'done', *says[2:]])
    for run in sorted((disk / 'runs').glob('*/metrics.jsonl')):
        assert rows(run.parent) == rows(tmp_path / run.parent.relative_to(disk))
