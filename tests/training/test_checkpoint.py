"""Checkpoints: what was saved comes back, and what is not what was saved is noticed, set aside and
passed over."""

import gc
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import SingleDeviceSharding

from genjax.training import Every, checkpoint, make_mesh, train
from genjax.training.checkpoint import (
    ASIDE,
    FOLDER,
    Damaged,
    Unrestorable,
    open_checkpoints,
    restore,
    save,
)
from genjax.training.digest import digest
from launch.__main__ import main
from launch.run import rundir
from tests.training.toy import toy
from tests.trees import assert_trees_equal

# Where one array cannot be read, orbax drops what reads the others, and Python tells of that when
# it collects it.
pytestmark = [
    pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning'),
    pytest.mark.usefixtures('collected'),
]

TALLIES = {step: {'count': step, 'sums': {'loss': 0.1 * step}} for step in (2, 4, 6)}


@pytest.fixture(scope='module')
def collected():
    """So that it tells of it before tests of other files begin."""
    yield
    gc.collect()


def state_at(step):
    """Leaves of several kinds, the largest of which no compressor makes smaller."""
    noise = jax.random.normal(jax.random.key(step), (64, 64))
    return {
        'wide': noise,
        'narrow': noise[0].astype(jnp.bfloat16),
        'count': jnp.int32(step),
        'key': jax.random.key(step),
        'few': (noise[1] > 0,),
    }


def abstract(state=None):
    place = SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state or state_at(2)
    )


@pytest.fixture(scope='session')
def written(tmp_path_factory):
    """A run directory with three checkpoints."""
    workdir = tmp_path_factory.mktemp('written')
    with open_checkpoints(workdir, 'test/loss') as saved:
        for step, tally in TALLIES.items():
            save(saved, step, state_at(step), tally, {'test/loss': 1.0 * step})
    return workdir


@pytest.fixture
def run(written, tmp_path):
    shutil.copytree(written, tmp_path / 'run')
    return tmp_path / 'run'


def read(workdir, **options):
    with open_checkpoints(workdir, 'test/loss') as saved:
        return restore(saved, options.pop('abstract', abstract()), **options)


def assert_is(found, step):
    assert found[0] == step and found[2] == TALLIES[step]
    assert digest(found[1]) == digest(state_at(step))


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()
    }


def steps(workdir):
    return sorted(int(path.name) for path in (workdir / FOLDER).iterdir() if path.name.isdecimal())


def flip(path, bit):
    raw = bytearray(path.read_bytes())
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    path.write_bytes(raw)


def largest(step):
    return max(
        (path for path in step.rglob('*') if path.is_file()), key=lambda path: path.stat().st_size
    )


def edit(path, change):
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def halve(step):
    for path in sorted(path for path in step.rglob('*') if path.is_file())[::2]:
        path.unlink()


def copy_of_another(step):
    shutil.rmtree(step)
    shutil.copytree(step.with_name('2'), step)


DAMAGE = {
    'a bit flipped': lambda step: flip(largest(step), 8 * (largest(step).stat().st_size // 2)),
    'truncated': lambda step: largest(step).write_bytes(largest(step).read_bytes()[:1000]),
    'emptied': lambda step: largest(step).write_bytes(b''),
    'all files emptied': lambda step: [
        path.write_bytes(b'') for path in step.rglob('*') if path.is_file()
    ],
    'half deleted': halve,
    'nothing left': lambda step: (shutil.rmtree(step), step.mkdir()),
    'no arrays': lambda step: shutil.rmtree(step / 'state'),
    'no tally': lambda step: shutil.rmtree(step / 'tally'),
    'no digest': lambda step: shutil.rmtree(step / 'digest'),
    'no metrics': lambda step: shutil.rmtree(step / 'metrics'),
    'another tally': lambda step: edit(step / 'tally/metadata', lambda tally: tally | {'count': 1}),
    'another metric': lambda step: edit(
        step / 'metrics/metrics', lambda metrics: {'test/loss': 0.0}
    ),
    'metrics torn': lambda step: (step / 'metrics/metrics').write_text('{"test/lo'),
    'a digest without its seal': lambda step: edit(
        step / 'digest/metadata', lambda d: {'leaves': d['leaves']}
    ),
    'the list of items torn': lambda step: (step / '_CHECKPOINT_METADATA').write_text(
        '{"item_handlers"'
    ),
    'the list of items gone': lambda step: (step / '_CHECKPOINT_METADATA').unlink(),
    "another step's": copy_of_another,
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_a_damaged_checkpoint_is_named_and_set_aside_and_the_one_before_it_is_used(
    damage, run, capfd
):
    DAMAGE[damage](run / FOLDER / '6')
    before = contents(run / FOLDER)
    assert_is(read(run), 4)
    (line,) = [
        line for line in capfd.readouterr().err.splitlines() if line.startswith('checkpoint')
    ]
    moved = f'checkpoint {run}/{FOLDER}/6 is damaged and was moved to {run}/{ASIDE}/6: '
    assert line.startswith(moved) and len(line) > len(moved)
    assert steps(run) == [2, 4]
    assert (
        contents(run / FOLDER)
        | {'6' / path: raw for path, raw in contents(run / ASIDE / '6').items()}
        == before
    )
    assert_is(read(run), 4)
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('damage', ['a bit flipped', 'half deleted', 'metrics torn'])
def test_with_none_intact_the_run_stops_and_never_starts_over(damage, run, capfd):
    for step in ('2', '4', '6'):
        DAMAGE[damage](run / FOLDER / step)
    before = contents(run / FOLDER)
    says = f'no checkpoint in {run}/{FOLDER} is intact; the damaged ones lie in {run}/{ASIDE}'
    for _ in range(2):
        with pytest.raises(Damaged, match=f'^{says}'):
            read(run)
        assert contents(run / ASIDE) == before and not steps(run)
    (run / ASIDE).rename(run / 'elsewhere')
    with pytest.raises(FileNotFoundError, match='^no checkpoint in'):
        read(run)


@pytest.mark.parametrize('damage', ['a bit flipped', 'half deleted', 'metrics torn'])
def test_reading_passes_over_what_is_damaged_and_writes_nothing(damage, run, capfd):
    DAMAGE[damage](run / FOLDER / '6')
    before = contents(run)
    assert_is(checkpoint.read(run, abstract()), 4)
    assert contents(run) == before
    assert capfd.readouterr().err.startswith(f'checkpoint {run}/{FOLDER}/6 is damaged: ')
    assert_is(checkpoint.read(run, abstract(), 2), 2)
    with pytest.raises(Damaged, match=f'^checkpoint 6 in {run}/{FOLDER} is damaged: '):
        checkpoint.read(run, abstract(), 6)
    with pytest.raises(FileNotFoundError, match=f'^no checkpoint 5 in {run}/{FOLDER}$'):
        checkpoint.read(run, abstract(), 5)
    for step in ('2', '4'):
        DAMAGE[damage](run / FOLDER / step)
    before = contents(run)
    with pytest.raises(Damaged, match=f'^no checkpoint in {run}/{FOLDER} is intact$'):
        checkpoint.read(run, abstract())
    assert contents(run) == before


def test_the_best_has_the_lowest_finite_value_and_is_the_latest_of_equals(run):
    assert checkpoint.best_step(run, 'test/loss') == 2
    assert checkpoint.best_step(run, 'test/other') is None
    values = {'2': float('nan'), '4': 0.5, '6': 0.5}
    for step, value in values.items():
        edit(run / FOLDER / step / 'metrics/metrics', lambda _, value=value: {'test/loss': value})
    assert checkpoint.best_step(run, 'test/loss') == 6
    (run / FOLDER / '6/metrics/metrics').write_text('{"test/lo')
    assert checkpoint.best_step(run, 'test/loss') == 4


def test_a_checkpoint_is_told_from_others_by_its_seal(run):
    seals = {checkpoint.seal(run, step) for step in (2, 4, 6)}
    assert len(seals) == 3 and None not in seals
    shutil.rmtree(run / FOLDER / '6/digest')
    assert checkpoint.seal(run, 6) is None


def test_a_damaged_checkpoint_set_aside_twice_is_kept_twice(run, capfd):
    for _ in range(2):
        flip(run / FOLDER / '6' / 'tally/metadata', 30)
        assert_is(read(run), 4)
        with open_checkpoints(run, 'test/loss') as saved:
            save(saved, 6, state_at(6), TALLIES[6], {})
    assert sorted(path.name for path in (run / ASIDE).iterdir()) == ['6', '6-2']
    assert_is(read(run), 6)


def test_a_step_can_be_asked_for(run, capfd):
    assert_is(read(run, step=2), 2)
    DAMAGE['a bit flipped'](run / FOLDER / '4')
    with pytest.raises(
        Damaged,
        match=f'^checkpoint 4 in {run}/{FOLDER} is damaged: state/wide is not what was saved',
    ):
        read(run, step=4)
    assert steps(run) == [2, 6]
    with pytest.raises(FileNotFoundError, match='^no checkpoint 4 in'):
        read(run, step=4)
    assert_is(read(run), 6)


def flips(run, count, seed):
    """Flips a bit of every file of the latest checkpoint, `count` times each, and reads; (file,
    step) of each."""
    draw, places = random.Random(seed), sorted(contents(run / FOLDER / '6'))
    for place in [
        place for place in places for _ in range(count) if place.name != 'commit_success.txt'
    ]:
        copy = run.with_name('copy')
        shutil.copytree(run, copy)
        flip(copy / FOLDER / '6' / place, draw.randrange(10**6))
        found = read(copy)
        assert_is(found, found[0])
        yield place, found[0]
        shutil.rmtree(copy)


def test_a_bit_flipped_anywhere_is_noticed_or_changes_nothing(run, capfd):
    shutil.rmtree(run / FOLDER / '2')
    assert {step for _, step in flips(run, 2, seed=0)} == {4, 6}


@pytest.mark.slow
def test_many_bits_flipped_anywhere_are_noticed_or_change_nothing(run, capfd):
    assert {step for _, step in flips(run, 25, seed=1)} == {4, 6}


OTHERS = {
    'dtype': (
        lambda s: s | {'wide': s['wide'].astype(jnp.float16)},
        'wide is float32 [64, 64] there and float16 [64',
    ),
    'shape': (
        lambda s: s | {'wide': s['wide'][:3]},
        r'wide is float32 [64, 64] there and float32 [3, 64] here',
    ),
    'more': (lambda s: s | {'x': jnp.zeros(2)}, 'x is nothing there and float32 [2] here'),
    'less': (lambda s: s | {'few': ()}, 'few/0 is bool [64] there and nothing here'),
}


@pytest.mark.parametrize('old', [False, True])
@pytest.mark.parametrize('other', OTHERS)
def test_another_state_is_refused_by_name_and_nothing_is_set_aside(other, old, run, capfd):
    before = contents(run / FOLDER)
    change, says = OTHERS[other]
    with pytest.raises(Unrestorable) as caught:
        without_digest(run) if old else None
        before = contents(run / FOLDER)
        read(run, abstract=abstract(change(state_at(2))))
    assert str(caught.value).startswith(
        f'checkpoint {run}/{FOLDER}/6 is of another state: state/{says}'
    )
    assert not isinstance(caught.value, Damaged) and contents(run / FOLDER) == before
    assert capfd.readouterr().err == ''


def without_digest(run):
    """Makes the latest checkpoint one as they were before there were digests."""
    shutil.rmtree(run / FOLDER / '6/digest')

    def without(items):
        return {name: item for name, item in items.items() if name != 'digest'}

    edit(
        run / FOLDER / '6/_CHECKPOINT_METADATA',
        lambda m: m | {'item_handlers': without(m['item_handlers'])},
    )


def test_a_checkpoint_from_before_there_were_digests_is_used_with_a_word(run, capfd):
    without_digest(run)
    assert_is(read(run), 6)
    assert (
        capfd.readouterr().err
        == f'checkpoint {run}/{FOLDER}/6 carries no digest; it is used unchecked\n'
    )
    largest(run / FOLDER / '6').write_bytes(b'')
    assert_is(read(run), 4)


def test_what_the_system_refuses_to_read_is_not_set_aside(run, monkeypatch):
    text = pathlib.Path.read_text
    monkeypatch.setattr(
        pathlib.Path,
        'read_text',
        lambda *args: (_ for _ in ()).throw(OSError(24, 'Too many files')),
    )
    with pytest.raises(OSError, match='Too many files'):
        read(run)
    monkeypatch.setattr(pathlib.Path, 'read_text', text)
    assert_is(read(run), 6)


def going(workdir, **options):
    mesh = make_mesh(jax.devices()[:2])
    return train(
        toy(), seed=0, steps=50, mesh=mesh, workdir=workdir, every=Every(10, 20, 10), **options
    )


def lines(workdir):
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [
        {name: value for name, value in row.items() if not name.startswith('time/')} for row in rows
    ]


def test_a_run_goes_on_from_before_the_damage_and_ends_as_if_there_was_none(tmp_path, capfd):
    whole = going(tmp_path / 'whole')
    shutil.copytree(tmp_path / 'whole', tmp_path / 'hurt')
    DAMAGE['half deleted'](tmp_path / 'hurt' / FOLDER / '50')
    assert digest(going(tmp_path / 'hurt')) == digest(whole)
    assert lines(tmp_path / 'hurt') == lines(tmp_path / 'whole')
    assert steps(tmp_path / 'hurt') == steps(tmp_path / 'whole')


def test_a_run_with_all_checkpoints_damaged_writes_nothing_more(tmp_path, capfd):
    going(tmp_path, until=20)
    for step in (tmp_path / FOLDER).iterdir():
        DAMAGE['no tally'](step)
    before = lines(tmp_path)
    for _ in range(2):
        with pytest.raises(Damaged):
            going(tmp_path)
    assert lines(tmp_path) == before


@pytest.mark.parametrize('devices', [1, 8])
def test_any_number_of_devices_reads_what_two_wrote(devices, tmp_path):
    state = going(tmp_path)
    mesh = make_mesh(jax.devices()[:devices])
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    asked = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state)
    found = read(tmp_path, abstract=asked)[1]
    assert_trees_equal(found, state)


def refused(capfd, *argv):
    """What a launch says, in lines, that ends with 2."""
    assert main(['--exp=toy', '--workdir=run', *argv]) == 2
    out, err = capfd.readouterr()
    assert out == '' and err.endswith('\n')
    return err.splitlines()


@pytest.mark.slow
def test_the_launcher_goes_on_past_damage_and_refuses_where_nothing_is_intact(folder, capfd):
    assert main(['--exp=toy', '--workdir=run']) == 0
    said = capfd.readouterr().out
    DAMAGE['half deleted'](folder / 'run' / FOLDER / '4')
    assert main(['--exp=toy', '--workdir=run', '--mode=evaluate']) == 0
    out, err = capfd.readouterr()
    damaged = f'checkpoint {folder}/run/{FOLDER}/4 is damaged'
    assert out.startswith('step       2\n')
    assert err.startswith(f'{damaged}: ') and err.count('\n') == 1
    assert rundir.last_step(folder / 'run') == 4  # where it was, since nothing goes on
    assert main(['--exp=toy', '--workdir=run']) == 0
    out, err = capfd.readouterr()
    assert out == said and err.count('\n') == 1
    assert err.startswith(f'{damaged} and was moved to {folder}/run/{ASIDE}/4: ')
    for step in (folder / 'run' / FOLDER).iterdir():
        DAMAGE['no tally'](step)
    told = refused(capfd)
    assert len(told) == 3 and told[0].startswith(f'checkpoint {folder}/run/{FOLDER}/4 is damaged')
    damaged = f'the damaged ones lie in {folder}/run/{ASIDE}'
    says = f'no checkpoint in {folder}/run/{FOLDER} is intact; {damaged}'
    assert told[2].startswith(says) and refused(capfd) == told[2:]
    assert rundir.last_step(folder / 'run') is None
    assert refused(capfd, '--mode=sample')[0].startswith(
        '--mode is sample, and workdir run holds no whole checkpoint'
    )


@pytest.mark.slow
def test_the_launcher_refuses_a_checkpoint_of_another_state_in_one_line(folder, capfd):
    assert main(['--exp=toy', '--workdir=run', '--until=2']) == 0
    mesh, zero = make_mesh(), {'position': jnp.zeros((), jnp.bfloat16)}
    with open_checkpoints(folder / 'run', '') as saved:
        save(
            saved,
            3,
            jax.device_put(zero, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())),
            {},
            {},
        )
    capfd.readouterr()
    other = 'is of another state: state/position is bfloat16 [] there and float32 [] here'
    assert (
        refused(capfd)
        == refused(capfd, '--mode=sample')
        == [f'checkpoint {folder}/run/{FOLDER}/3 {other}']
    )
    assert steps(folder / 'run') == [2, 3]


PROCESS = """
import sys

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

jax.config.update('jax_num_cpu_devices', 2)
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from genjax.training.checkpoint import open_checkpoints, restore, save
from genjax.training.digest import digest
from genjax.training.mesh import make_mesh, put

mesh = make_mesh()
specs = {'split': PartitionSpec('data'), 'whole': PartitionSpec()}
places = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
state = {name: jax.random.normal(jax.random.key(0), (64, 64)) for name in places}
told = digest(state)
state = {name: put(x, places[name]) for name, x in state.items()}
assert digest(state) == told
def abstract_leaf(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)

abstract = jax.tree.map(abstract_leaf, state)
with open_checkpoints(sys.argv[3], 'test/loss') as saved:
    if sys.argv[4] == 'save':
        for step in (2, 4):
            save(saved, step, state, {'count': 0}, {'test/loss': 1.0 * step})
    else:
        step, found, tally = restore(saved, abstract)
        assert digest(found) == told and saved.all_steps() == [step]
        print('restored', step)
"""


def both(workdir, what):
    """What two processes of two devices each say at the end, after they have saved or restored."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'

    def command(i):
        return [sys.executable, '-c', PROCESS, address, str(i), str(workdir), what]

    options = dict(
        env=os.environ | {'PYTHONPATH': str(pathlib.Path(__file__).parents[2])}, text=True
    )
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started = [subprocess.Popen(command(i), **options, **pipes) for i in range(2)]
    told = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    return told


@pytest.mark.slow
@pytest.mark.parametrize('damage', ['a bit flipped', 'metrics torn'])
def test_several_processes_come_to_the_same_decision(damage, tmp_path):
    both(tmp_path, 'save')
    DAMAGE[damage](tmp_path / FOLDER / '4')
    (out, err), (other, nothing) = both(tmp_path, 'restore')
    assert [text.splitlines()[-1] for text in (out, other)] == ['restored 2'] * 2
    assert [err.count('is damaged and was moved'), nothing.count('is damaged')] == [1, 0]
    assert [path.name for path in (tmp_path / ASIDE).iterdir()] == ['4']
