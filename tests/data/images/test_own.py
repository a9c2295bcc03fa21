"""Images of one's own as a set to train on, whichever form they come in."""

import collections
import json
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from genjax.algorithms.classifier import classifier
from genjax.data.derived import pictures
from genjax.data.images.files import open_files
from genjax.data.images.own import _place, open_own
from genjax.data.images.sets import images
from genjax.networks.classifier import Classifier
from genjax.training import Every, Experiment, make_mesh, train
from launch.run import rundir
from tests.data.images.own_images import snapshot, write_bad, write_mixed, write_npz, write_zip
from tests.data.images.tiny_sets import grey_levels
from tests.marks import slow
from tests.trees import assert_trees_equal


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture(scope='module')
def forms(tmp_path_factory):
    """200 files of all modes and many sizes: a folder, a zip file, an npz file at 8 pixels."""
    place = tmp_path_factory.mktemp('forms')
    write_mixed(place / 'set', 200)
    zipped = write_zip(place / 'set', place / 'set.zip', 'set/')
    arrays = write_npz(place / 'set', place / 'set.npz', 8)
    return f'folder:{place / "set"}', f'folder:{zipped}', f'npz:{arrays}'


def open_set(name, **options):
    return images(name, **dict(batch=16, seed=0, size=8) | options)


def metrics_of(name, workdir, **options):
    """The metrics of 20 steps of a classifier of a set, as they are written."""
    data = pictures(open_set(name, **options))
    experiment = Experiment(classifier(Classifier((2,), 4, 3), optax.adam(1e-3)), data, {})
    mesh = make_mesh(jax.devices()[:1])
    every = Every(log=5, evaluate=10, save=20)
    train(experiment, seed=0, steps=20, mesh=mesh, workdir=workdir, every=every)
    lines = (workdir / 'metrics.jsonl').read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if 'time/' not in k} for line in lines]


@pytest.mark.parametrize('resident_bytes', [slow(2**30), 0])
def test_folder_zip_and_npz_train_to_the_same_metrics_to_the_bit(forms, resident_bytes, tmp_path):
    found = [
        metrics_of(name, tmp_path / str(i), resident_bytes=resident_bytes)
        for i, name in enumerate(forms)
    ]
    assert {'loss', 'test/loss'} <= set(found[0][-1])
    assert found[0] == found[1] == found[2]
    prints = {open_set(name, resident_bytes=resident_bytes).train.fingerprint for name in forms}
    assert len(prints) == 1


def test_streamed_and_resident_have_the_same_images(forms):
    on_device = open_set(forms[0], batch=30)
    on_host = open_set(forms[0], batch=30, resident_bytes=0)
    for a, b in zip(on_device.test, on_host.test, strict=True):
        assert_trees_equal(a, b)
    n = on_device.about['train']
    one, other = (open_set(forms[0], batch=n, resident_bytes=b).train[0] for b in (0, 2**30))
    for name in ('image', 'label'):
        rows = [sorted(row.tobytes() for row in np.asarray(x[name])) for x in (one, other)]
        assert rows[0] == rows[1]
    assert jax.eval_shape(lambda: on_device.train[0]) == jax.eval_shape(lambda: on_host.train[0])


def test_images_have_their_labels_and_counts(tmp_path):
    for i in range(30):
        path = tmp_path / 'set' / 'abc'[i % 3] / f'{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('L', (5, 4), 100 * (i % 3) + i).save(path)
    data = open_set(f'folder:{tmp_path / "set"}', batch=5)
    seen = 0
    for batch in data.test:
        level = grey_levels(batch['image'])
        assert level.shape[1:] == (8, 8, 1) and (level == level[:, :1, :1]).all()
        for value, label in zip(level[:, 0, 0, 0].tolist(), batch['label'].tolist(), strict=True):
            assert (value - 100 * label) % 3 == label
            seen += 1
    assert data.about == {
        'name': f'folder:{tmp_path / "set"}',
        'shape': [8, 8, 1],
        'resampling': 'square from the middle, Lanczos to 8 x 8',
        'train': 30 - seen,
        'test': seen,
        'held out': '0.1 by a hash of the names',
        'left out': 0,
        'labels': {'a': 10, 'b': 10, 'c': 10},
    }


# The part that is held out


def held_out(names, tmp_path, share=0.3):
    """Which of some names are held out of a folder of these files."""
    folder = tmp_path / f'{len(list(tmp_path.iterdir()))}'
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('L', (4, 4), i).save(path)
    options = dict(size=None, held_out=share, skip_unreadable=False)
    _, test, _ = open_own(f'folder:{folder}', **options)
    levels = {int(example['image'][0, 0, 0]) for example in test.records}
    return {name for i, name in enumerate(names) if i in levels}


def test_what_is_held_out_stays_so_when_files_are_added(tmp_path):
    few = [f'{i}.png' for i in range(0, 200, 5)]
    many = [f'{i}.png' for i in range(200)]
    first = held_out(few, tmp_path)
    second = held_out(many, tmp_path)
    assert 0 < len(first) < len(few)
    assert first == second & set(few)
    assert {name[:-4] for name in second} == {
        name[:-4] for name in held_out([f'{name[:-4]}.bmp' for name in many], tmp_path)
    }


def test_the_share_is_that_asked_for():
    places = np.sort([_place(f'{i:06}.png') for i in range(10_000)])
    uniform = (np.arange(10_000) + 0.5) / 10_000
    assert np.abs(places - uniform).max() < 1.95 / 100  # Kolmogorov, one in a thousand


def test_folders_train_and_test_say_what_is_held_out(tmp_path):
    names = [f'{part}/{i}.png' for part in ('train', 'test') for i in range(5)]
    assert held_out(names, tmp_path) == set(names[5:])


def test_of_two_images_one_is_held_out(tmp_path):
    for share in (1e-9, 1 - 1e-9):
        assert len(held_out(['a.png', 'b.png'], tmp_path, share)) == 1


@pytest.mark.parametrize('share', [0.0, 1.0, -0.1])
def test_another_share_is_refused(share, forms):
    with pytest.raises(ValueError, match=rf'^held_out is {share}; it must lie in \(0, 1\)$'):
        open_set(forms[0], held_out=share)


# What cannot be read


@pytest.mark.parametrize('zipped', [False, True])
def test_60_bad_files_are_a_line_each_and_refused_unless_left_out(zipped, tmp_path, capsys):
    folder = tmp_path / 'set'
    write_mixed(folder, 40)
    good = open_set(f'folder:{folder}')
    bad = write_bad(folder)
    name = f'folder:{folder}'
    if zipped:  # which holds no links, and no name that is not UTF-8
        for place in (folder / 'kind 0').glob('bad *'):
            for path in list(place.iterdir()):
                if path.is_symlink() or not path.name.isascii():
                    path.unlink()
        bad = {file for file in bad if not file.endswith(('circle', 'itself.png', '\\xfe.png'))}
        name = f'folder:{write_zip(folder, tmp_path / "set.zip")}'
    before = snapshot(folder)
    refusal = (
        f'^{re.escape(name)}: {len(bad)} of {len(bad) + 40} files cannot be read, as the lines '
        'above say; skip_unreadable leaves them out$'
    )
    with pytest.raises(ValueError, match=refusal):
        open_set(name)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(bad)
    named = collections.Counter(file for file in bad for line in lines if f'/{file} ' in line)
    assert named == dict.fromkeys(bad, 1)

    data = open_set(name, skip_unreadable=True)
    assert f'{name}: {len(bad)} files are left out, 40 stay\n' in capsys.readouterr().err
    assert data.about['left out'] == len(bad)
    assert data.train.fingerprint == good.train.fingerprint
    assert snapshot(folder) == before


def test_nothing_but_bad_files_are_no_set(tmp_path):
    write_bad(tmp_path / 'set', 1)
    with pytest.raises(ValueError, match='has 0 images that can be read; at least 2 are needed$'):
        open_set(f'folder:{tmp_path / "set"}', skip_unreadable=True)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('', "the images are ''; name folder:PATH, npz:FILE, digits"),
        ('folder:', "the set is 'folder:'; a path follows the colon"),
        ('folder:a.npz', "the set is 'folder:a.npz'; folder: takes a folder or a zip file"),
        ('npz:a.zip', "the set is 'npz:a.zip'; npz: takes an .npz file"),
        ('npz:/nowhere/a.npz', 'there is no folder, zip or npz file /nowhere/a.npz'),
    ],
)
def test_a_name_that_names_nothing_is_refused(name, message):
    with pytest.raises((ValueError, FileNotFoundError), match=f'^{re.escape(message)}'):
        open_set(name)


@pytest.mark.parametrize('size', [0, 4097])
def test_a_size_out_of_reach_is_refused(size, forms):
    with pytest.raises(ValueError, match=f'^size is {size}; '):
        open_set(forms[0], size=size)


def test_the_manifest_says_what_the_images_are(forms, tmp_path):
    about = open_set(forms[0]).about
    rundir.claim(tmp_path / 'run', 'toy', {}, 'print', {}, {'about': about})
    assert json.loads((tmp_path / 'run' / 'manifest.json').read_text())['about'] == about


# Memory

COUNT = 200_000
MEMORY = """
import pathlib, sys
from genjax.data.images.sets import images

def anonymous():
    status = pathlib.Path('/proc/self/status').read_text()
    return int(status.partition('RssAnon:')[2].split()[0]) / 1024

data = images(f'folder:{sys.argv[1]}', batch=256, seed=0, size=int(sys.argv[2]), resident_bytes=0)
stream = data.train.stream(0)
for _ in range(20):
    next(stream)
before = anonymous()
for _ in range(int(sys.argv[3])):
    next(stream)
print(data.about['train'], before, anonymous())
"""


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path('/proc/self/status').exists(), reason='needs /proc')
def test_memory_stays_flat_over_200_000_files(tmp_path):
    """Decoded at 64 pixels they take 2.3 GiB, of which a run holds a hundredth."""
    folder = tmp_path / 'set'
    file = tmp_path / 'image.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    content = file.read_bytes()
    for i in range(COUNT):
        if i % 1000 == 0:
            place = folder / f'{i // 1000:03}'
            place.mkdir(parents=True)
        (place / f'{i:06}.png').write_bytes(content)

    def measured(size):
        command = [sys.executable, '-c', MEMORY, str(folder), str(size), '780']
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [float(x) for x in done.stdout.split()]

    n, before, after = measured(64)
    assert 0.89 * COUNT < n < 0.91 * COUNT
    assert after - before < 100  # MiB, over an epoch
    _, small, _ = measured(8)
    assert before - small < 200  # though the images take 64 times as much


def test_labels_none_means_no_labels(tmp_path):
    for i in range(4):
        path = tmp_path / 'set' / f'{i:02}.png'
        path.parent.mkdir(exist_ok=True)
        Image.new('L', (4, 4), i).save(path)
    data = open_set(f'folder:{tmp_path / "set"}', batch=2)
    assert set(data.train[0]) == set(data.test[0]) == {'image'}
    assert 'labels' not in data.about
    assert open_files(tmp_path / 'set').labels is None
