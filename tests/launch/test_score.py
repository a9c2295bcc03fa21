"""Scores from a command line: of files, sets, runs and statistics, by a quick extractor; equal to
torch-fidelity on the same files; and what is refused, in one line and before anything is computed.
"""

import json
import pathlib
import re
import shlex
import shutil
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from experiments._scores import CLASSIFIERS, Trainable
from genjax.metrics.fidelity import Extractor, Features
from launch.__main__ import main as launch
from launch.run import extractor_choice
from launch.score import OPTIONS, asked, main
from tests.folders import contents

WIDTH = 12
SHARES = ('precision', 'recall', 'density', 'coverage')


def tiny(name, width=WIDTH):
    """An extractor of images of any size: random projections, through a kink."""

    @jax.jit
    def features(x):
        rows = x.reshape(len(x), -1)
        weights = jax.random.normal(jax.random.key(0), (rows.shape[1], width)) / 8
        pooled = jax.nn.relu(jnp.matmul(rows, weights, precision='highest'))
        return Features(pooled, pooled[:, :10] * 3)

    return Extractor(name, 'ab' * 8, 'none', features)


def quick(folder, patch):
    """Works in a folder, with quick extractors in the place of those that take a training."""
    patch.chdir(folder)
    patch.setenv('XDG_CACHE_HOME', str(folder / '.cache'))

    def make(steps):
        return tiny('digits classifier')._replace(weights=f'{steps:016}')

    known = Trainable('digits classifier', make, 7, (8, 8, 1), WIDTH, False)
    patch.setitem(CLASSIFIERS, 'digits', known)
    patch.setattr(extractor_choice, 'WIDTH', WIDTH)

    def inception(path):
        if not pathlib.Path(path).is_file():
            raise FileNotFoundError(f'there is no file {path}')
        return tiny('InceptionV3')

    patch.setattr(extractor_choice, 'inception_extractor', inception)


@pytest.fixture
def place(tmp_path, monkeypatch):
    quick(tmp_path, monkeypatch)
    (tmp_path / 'weights.pth').touch()
    return tmp_path


def digits(start, stop):
    levels = load_digits().images[start:stop]
    return np.rint(levels * (255 / 16)).astype(np.uint8)


def write_folder(path, levels):
    path.mkdir(parents=True)
    for i, level in enumerate(levels):
        Image.fromarray(level).save(path / f'{i:05}.png')


def write_files(folder):
    """120 digits as a folder a, and 90 others, darker, as a folder b."""
    write_folder(folder / 'a', digits(0, 120))
    write_folder(folder / 'b', digits(120, 210) // 2)


@pytest.fixture
def files(place):
    write_files(place)
    return place


def scored(*words, code=0):
    """What the program writes as JSON."""
    assert main([*map(str, words), '--out=out.json']) == code
    return json.loads(pathlib.Path('out.json').read_text('utf-8'))


def values(found, row=0):
    """{measure: value} without the extractor's name."""
    scores = found['rows'][row]['scores']
    return {name.partition(' (')[0]: score['value'] for name, score in scores.items()}


def test_a_set_beside_itself_is_perfect(files, capsys):
    found = values(scored('a', 'a'))
    scale = 10.0  # of the features' variances
    assert found['Frechet distance'] == pytest.approx(0, abs=1e-9 * scale)
    assert found['kernel distance'] < 0  # no image is compared with itself, so it is below
    assert [found[name] for name in ('precision', 'recall', 'coverage')] == [1, 1, 1]
    out, err = capsys.readouterr()
    assert 'digits classifier, weights 0000000000000007, resize none' in out
    assert 'FID' not in out and 'KID' not in out and 'IS ' not in out


def test_what_is_the_better_scores_better(files):
    worse = values(scored('b', 'digits:train'))
    better = values(scored('a', 'digits:train'))
    assert better['Frechet distance'] < worse['Frechet distance'] / 2
    assert better['kernel distance'] < worse['kernel distance'] / 2
    assert better['recall'] > 2 * worse['recall']


def test_a_folder_a_zip_and_an_npz_of_the_same_images_are_the_same(files):
    with zipfile.ZipFile('a.zip', 'w') as archive:
        for path in sorted(pathlib.Path('a').iterdir()):
            archive.write(path, path.name)
    np.savez('a.npz', digits(0, 120)[..., None])
    all_found = [scored(name, 'b') for name in ('a', 'folder:a', 'a.zip', 'a.npz', 'npz:a.npz')]
    first = all_found[0]
    for found in all_found[1:]:
        assert values(found) == values(first)
        sides = [each['rows'][0]['scored'] for each in (found, first)]
        assert sides[0]['digest'] == sides[1]['digest']
        assert sides[0]['n'] == 120


def test_a_set_is_that_of_its_files(place):
    """Levels of files and of a set become features in the same way."""
    write_folder(place / 'a', digits(0, 40))
    found = scored('digits:train', 'digits:test')
    assert found['rows'][0]['scored']['n'] == 1500 and found['reference']['n'] == 297
    assert (found['rows'][0]['scored']['part'], found['reference']['part']) == ('train', 'test')
    assert values(found)['precision'] > 0.5
    assert scored('a', 'digits')['reference']['part'] == 'train'


def test_the_contract_says_how_the_scores_were_made(files):
    found = scored('a', 'b', '--seed=5', '--subsets=7', '--subset_size=20')
    assert found['features'] == {
        'extractor': 'digits classifier',
        'weights': f'{7:016}',
        'resize': 'none',
    }
    assert found['draws'] == {'seed': 5, 'subsets': 7, 'size': 20, 'splits': 10}
    reference = found['reference']
    assert (reference['source'], reference['part'], reference['n']) == ('b', 'all', 90)
    assert reference['shape'] == [8, 8, 1] and len(reference['digest']) == 16
    row = found['rows'][0]
    assert row['scored']['source'] == 'a' and row['scored']['n'] == 120
    assert row['missing'] == {}
    assert len(row['scores']) == 8
    assert all(name.endswith(' (digits classifier)') for name in row['scores'])


def test_only_with_inception_scores_have_its_names(files):
    names = list(scored('a', 'b', '--inception=weights.pth')['rows'][0]['scores'])
    assert names == ['FID', 'KID', 'KID of subsets', 'IS', *SHARES]


def test_neither_the_batch_nor_its_rest_changes_the_features(files):
    found = [values(scored('a', 'b', f'--batch={batch}')) for batch in (7, 64, 500)]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4, abs=1e-6)


def test_all_batches_run_one_program(files, monkeypatch):
    extractor = tiny('InceptionV3')
    shapes = []

    @jax.jit
    def features(x):
        shapes.append(x.shape)  # when it is traced
        return extractor.features(x)

    def traced(path):
        return extractor._replace(features=features)

    monkeypatch.setattr(extractor_choice, 'inception_extractor', traced)
    scored('a', 'b', '--inception=weights.pth', '--batch=32')
    assert shapes == [(32, 8, 8, 1)]


def test_own_images_are_resampled_and_sets_padded_to_a_size(files):
    large = [np.asarray(Image.fromarray(x).resize((20, 16))) for x in digits(0, 30)]
    write_folder(files / 'large', large)
    found = scored('large', 'b', '--size=8')
    assert found['rows'][0]['scored']['shape'] == [8, 8, 1]
    assert 'Lanczos' in found['rows'][0]['scored']['sized']
    padded = scored('digits:test', 'digits:train', '--size=16', '--inception=weights.pth')
    assert padded['reference']['shape'] == [16, 16, 1]
    assert padded['reference']['sized'] == 'put in the middle, on level 0'


# Statistics


def test_statistics_stand_for_their_images(files, capsys):
    whole = scored('a', 'b', '--write_statistics=b.npz')
    assert main(['b', '--write_statistics', 'alone.npz']) == 0
    assert pathlib.Path('b.npz').read_bytes() == pathlib.Path('alone.npz').read_bytes()
    capsys.readouterr()
    found = scored('a', 'b.npz')
    assert values(found)['Frechet distance'] == values(whole)['Frechet distance']
    assert list(values(found)) == ['Frechet distance', 'classifier score']
    assert found['reference']['digest'] == whole['reference']['digest']
    assert found['reference']['n'] == 90
    lines = [line for line in capsys.readouterr().out.splitlines() if 'statistics there' in line]
    assert lines == [
        'of statistics there is the Frechet distance alone: no kernel distance (digits '
        'classifier), kernel distance of subsets (digits classifier), precision (digits '
        'classifier), recall (digits classifier), density (digits classifier), coverage (digits '
        'classifier)'
    ]
    both = scored('b.npz', 'alone.npz')
    assert list(both['rows'][0]['scores']) == ['Frechet distance (digits classifier)']
    assert values(both)['Frechet distance'] == pytest.approx(0, abs=1e-9)


def peers_statistics(path, levels, save=np.savez_compressed):
    """As pytorch-fid writes those of InceptionV3, of which there is no other word in the file."""
    images = (2 * levels[..., None].astype(np.float32) - 255) * (1 / 255)
    features = np.asarray(tiny('InceptionV3').features(images).pooled, np.float64)
    save(path, mu=features.mean(0), sigma=np.cov(features, rowvar=False))


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
def test_statistics_of_pytorch_fid_and_edm_are_read(save, files, capsys):
    peers_statistics('peers.npz', digits(120, 210) // 2, save)
    whole = scored('a', 'b', '--inception=weights.pth')
    capsys.readouterr()
    found = scored('a', 'peers.npz', '--inception=weights.pth')
    assert values(found)['FID'] == pytest.approx(values(whole)['FID'], rel=1e-4)
    assert found['reference']['n'] is None and not found['reference']['stated']
    assert 'does not say what its features are of' in capsys.readouterr().out
    both = scored('peers.npz', 'peers.npz')
    assert list(both['rows'][0]['scores']) == ['Frechet distance (features not stated)']


# Runs

PAGE = '''
"""Draws noise of a brightness that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from genjax.base import Algorithm, Data, Resident
from genjax.training import Experiment


def get_config():
    every = dict(log=1, evaluate=2, save=1)
    return ConfigDict(dict(seed=0, steps=2, batch=8, level=0.5, flat=False, every=every))


def build(config):
    def init(key, batch):
        return {'level': jnp.float32(config.level)}

    def losses(key, state, batch):
        return {'loss': (state['level'] - batch) ** 2}

    def update(key, state, batch):
        level = state['level'] + 0.1 * (1 + jax.random.uniform(key))
        return {'level': level}, {'loss': level}

    def sample(key, state, n):
        shape = (n, 64) if config.flat else (n, 8, 8, 1)
        return state['level'] * jax.random.uniform(key, shape) - 1

    def whole(target, step):
        return target

    train = Resident(jnp.zeros(config.batch), whole, 'zeros')
    algorithm = Algorithm(init, update, losses, sample)
    return Experiment(algorithm, Data(train, [np.zeros(4, np.float32)]), {})
'''


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Runs of two levels with two seeds each, in a folder; and one that draws no images."""
    folder = tmp_path_factory.mktemp('trained')
    page = folder / 'painter.py'
    page.write_text(PAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for level in (0.5, 1.5):
            for seed in (0, 1):
                flags = [f'--config.level={level}', f'--config.seed={seed}']
                where = f'--workdir=runs/{level}-{seed}'
                assert launch([f'--exp={page}', where, *flags]) == 0
        assert launch([f'--exp={page}', '--workdir=flat', '--config.flat=True']) == 0
    return folder


@pytest.fixture
def runs(files, trained):
    shutil.copytree(trained / 'runs', files / 'runs')
    shutil.copytree(trained / 'flat', files / 'flat')
    return files


def test_a_run_is_scored_by_as_many_samples_as_there_are_images(runs):
    before = contents(runs / 'runs')
    found = scored('runs/1.5-0', 'a')
    side = found['rows'][0]['scored']
    assert (side['n'], side['part'], side['seeds']) == (120, 'samples of step 2', [0, 0])
    assert scored('runs/1.5-0', 'a')['rows'] == found['rows']
    few = scored('runs/1.5-0', 'a', '--n=50', '--batch=16')
    assert few['rows'][0]['scored']['n'] == 50
    step = scored('runs/1.5-0:1', 'a')['rows'][0]['scored']
    assert step['part'] == 'samples of step 1' and step['digest'] != side['digest']
    seed = scored('runs/1.5-0', 'a', '--sample_seed=1')['rows'][0]['scored']
    assert seed['seeds'] == [0, 1] and seed['digest'] != side['digest']
    assert contents(runs / 'runs') == before


@pytest.mark.slow
def test_a_run_may_be_the_reference(runs):
    found = scored('a', 'runs/1.5-0')
    assert found['reference']['n'] == 120 and found['reference']['source'] == 'runs/1.5-0'


@pytest.mark.slow
def test_a_folder_of_runs_gives_means_over_seeds(runs, capsys):
    found = scored('runs', '--to', 'a')
    assert [row['scored']['source'] for row in found['rows']] == [
        f'runs/{level}-{seed}' for level in (0.5, 1.5) for seed in (0, 1)
    ]
    name = 'Frechet distance (digits classifier)'
    assert [group['config']['level'] for group in found['groups']] == [0.5, 1.5]
    for i, group in enumerate(found['groups']):
        here = [row['scores'][name]['value'] for row in found['rows'][2 * i : 2 * i + 2]]
        assert group['seeds'] == [0, 1]
        assert group['scores'][name]['mean'] == pytest.approx(np.mean(here))
        assert group['scores'][name]['deviation'] == pytest.approx(np.std(here, ddof=1))
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith('painter:last, 2 seeds')]
    assert len(table) == 2 and all(' ± ' in line for line in table)


@pytest.mark.slow
def test_runs_at_two_steps_are_not_seeds_of_one(runs):
    found = scored('runs/0.5-0', 'runs/0.5-0:1', 'runs/0.5-1', '--to', 'a')
    assert [group['seeds'] for group in found['groups']] == [[0, 1], [0]]


@pytest.mark.slow
@pytest.mark.parametrize('lost', [0, 1])
def test_a_run_that_cannot_be_scored_stops_no_other(lost, runs, capsys):
    shutil.rmtree(f'runs/0.5-{lost}/checkpoints')
    found = scored('runs/0.5-0', 'runs/0.5-1', '--to', 'a', code=1)
    assert [('refusal' in row) for row in found['rows']] == [lost == 0, lost == 1]
    assert [group['seeds'] for group in found['groups']] == [[1 - lost]]
    out, err = capsys.readouterr()
    assert 'no checkpoint' in err
    assert f'runs/0.5-{lost}' in out
    shutil.rmtree(f'runs/0.5-{1 - lost}/checkpoints')
    assert main(['runs/0.5-0', 'runs/0.5-1', '--to', 'a']) == 2


# Refusals


@pytest.fixture(scope='module')
def bad(tmp_path_factory, trained):
    """A folder of what is in order and what is not, which no refusal changes."""
    place = tmp_path_factory.mktemp('bad')
    write_files(place)
    for name in ('runs', 'flat'):
        shutil.copytree(trained / name, place / name)
    (place / 'weights.pth').touch()
    (place / 'empty').mkdir()
    write_folder(place / 'one', digits(0, 1))
    write_folder(place / 'sizes', [*digits(0, 3), np.zeros((9, 8), np.uint8)])
    write_folder(place / 'broken', digits(0, 3))
    (place / 'broken' / '00001.png').write_bytes(b'none')
    write_folder(place / 'colours', np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3))
    write_folder(place / 'large', np.zeros((3, 9, 9), np.uint8))
    (place / 'digits').mkdir()
    np.savez(place / 'other.npz', mu=np.zeros(5), sigma=np.eye(5))
    np.savez(place / 'torn.npz', mu=np.zeros(5), sigma=np.eye(4))
    (place / 'text.txt').write_text('none')
    with pytest.MonkeyPatch.context() as patch:
        quick(place, patch)
        assert main(['a', '--write_statistics=ours.npz']) == 0
    return place


REFUSED = {
    '': 'two are compared, A and B, and nothing is given; several have --to B',
    'a': 'two are compared, A and B, and a is given; several have --to B',
    'a b c': 'two are compared, A and B, and a, b, c is given; several have --to B',
    '--to a': '--to is given and nothing that is to be scored',
    'a b --tu=c': '--tu is no flag; did you mean --to?',
    'a b -o c': '-o is no flag; did you mean --to?',
    'a b --n': '--n needs a value',
    'a b --n=1': '--n is 1; it takes a whole number, 2 or more',
    'a b --n=99999999999': '--n is 99999999999; it takes 2 to 4294967295',
    'a b --batch=0': '--batch is 0; it takes a whole number, 1 or more',
    'a b --n=3 --n=4': '--n is given twice',
    'a b --out=none/x.json': '--out is none/x.json; it takes a file in a folder that is there',
    'a b --out=a': '--out is a; it takes a file in a folder that is there',
    'a ./missing': 'there is no folder, file or run ./missing',
    'a missing.zip': 'there is no folder, file or run missing.zip',
    'a runs/none:best': 'runs/none is no run directory',
    'a mnits': "mnits is no folder, file or run: there is no set 'mnits'",
    'a digits': 'digits is a set of images, and there is PLACE/digits; '
    'say digits:train or folder:digits',
    'a empty': 'empty holds no files',
    'a one': 'one has 1 images; scores need at least 2',
    'a sizes': 'sizes has images of 8 x 8 (00000.png) and of 9 x 8 (00003.png); give them one size',
    'a broken': 'broken: 1 of 3 files cannot be read, as broken/00001.png ',
    'a text.txt': 'text.txt is no folder, zip or npz file',
    'a large': 'a has images of 8 x 8 x 1 and large of 9 x 9 x 1; '
    'only those of the same size and channels are compared',
    'a colours': 'a has images of 8 x 8 x 1 and colours of 8 x 8 x 3; '
    'only those of the same size and channels are compared',
    'large large': 'there is no classifier of images of 9 x 9 x 1; give --inception FILE, '
    'or --classifier digits, mnist, cifar10',
    'large large --classifier=digits': 'the digits classifier takes images of 8 x 8 x 1, and large '
    'has 9 x 9 x 1',
    'a b --classifier=digit': '--classifier is digit; did you mean digits?',
    'a b --classifier=digits:0': '--classifier is digits:0; it takes NAME or NAME:STEPS',
    'a b --inception=none': 'there is no file none',
    'a b --subset_size=91': '--subset_size is 91, and there are 90 images on a side',
    'a digits:train --size=4': 'size is 4; digits has images of 8 x 8 x 1',
    'a torn.npz': 'torn.npz holds no statistics: mu has shape (5,) and sigma (4, 4); '
    '[D] and [D, D] are wanted',
    'a other.npz': 'other.npz does not say what its features are of; such a file is taken to be of '
    'InceptionV3, and this is the digits classifier: give --inception FILE',
    'a other.npz --inception=weights.pth': 'other.npz has 5 features, and InceptionV3 makes 12',
    'a ours.npz --inception=weights.pth': 'ours.npz is of digits classifier, and the others would '
    'be of InceptionV3',
    'a ours.npz --classifier=digits:3': 'ours.npz is of weights 0000000000000007, and these '
    'features are of 0000000000000003',
    'ours.npz other.npz': 'other.npz is of extractor not stated, and ours.npz is of '
    'digits classifier',
    'a ours.npz --write_statistics=x.npz': 'ours.npz is a file of statistics already',
    'a b --n=5': '--n is 5, and none of those that are named is a run',
    'a b --average=none': '--average is none, and none of those that are named is a run',
    'flat b': 'flat draws arrays of shape [64]; images [H, W, C] are scored',
    'runs/0.5-0:7 b': 'runs/0.5-0 has no checkpoint 7; there are: 1, 2',
    'runs/0.5-0 b --average=long': "runs/0.5-0: average is 'long'; the state keeps no average",
}


@pytest.mark.parametrize('line', REFUSED)
def test_what_is_wrong_is_refused_in_one_line(line, bad, capsys, monkeypatch):
    quick(bad, monkeypatch)

    def computed(*_):
        raise AssertionError('something was computed')

    monkeypatch.setattr('experiments._scores.features_of_batches', computed)
    before = outside_the_cache(bad)
    assert main(line.split()) == 2
    assert outside_the_cache(bad) == before
    out, err = capsys.readouterr()
    said = [text for text in err.splitlines() if not text.startswith('training')]
    assert out == '' and len(said) == 1
    assert said[0].replace(str(bad), 'PLACE').startswith(REFUSED[line])


def outside_the_cache(folder):
    return {path: x for path, x in contents(folder).items() if '.cache' not in path.parts}


def test_help_names_every_flag(capsys):
    assert main(['--help']) == 0
    usage = capsys.readouterr().out
    assert all(f'{flag} ' in usage for flag in OPTIONS)


def test_the_commands_of_the_documents_are_ones():
    text = (pathlib.Path(__file__).parents[2] / 'docs/running.md').read_text('utf-8')
    commands = re.findall(r'^python -m launch.score (.*?)(?: {2,}#.*)?$', text, re.M)
    assert len(commands) > 4
    for command in commands:
        assert asked(shlex.split(command))['scored']


# Equality with torch-fidelity, on the same files and features.


@pytest.fixture(scope='module')
def peer(whole_machine):
    pytest.importorskip('torch')
    from tests.programs import fidelity_peer

    return fidelity_peer.torch_fidelity


@pytest.mark.peers
def test_the_scores_of_two_folders_are_torch_fidelitys(peer, files):
    """Both read the PNG files; the one extractor makes the features of both, in float64 for
    torch-fidelity as they are for us."""
    import torch
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase
    from torch_fidelity.registry import register_feature_extractor

    extractor = tiny('digits classifier')

    class Ours(FeatureExtractorBase):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return ('pooled', 'logits')

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return 'logits' if metric == 'isc' else 'pooled'

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, input):
            grey = input.numpy()[:, :1].transpose(0, 2, 3, 1).astype(np.float32)
            features = extractor.features((2 * grey - 255) * (1 / 255))
            as_rows = {
                name: torch.tensor(np.asarray(x, np.float64))
                for name, x in features._asdict().items()
            }
            return tuple(as_rows[name] for name in self.features_list)

    register_feature_extractor('ours', Ours)
    expected = peer.calculate_metrics(
        input1='a',
        input2='b',
        feature_extractor='ours',
        cuda=False,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        kid_subset_size=40,
        save_cpu_ram=True,
        cache=False,
        verbose=False,
    )
    found = scored('a', 'b', '--inception=weights.pth', '--subset_size=40')
    by_name = values(found)
    deviations = {
        name: score.get('deviation') for name, score in found['rows'][0]['scores'].items()
    }
    assert by_name['FID'] == pytest.approx(expected['frechet_inception_distance'], rel=1e-4)
    assert by_name['KID of subsets'] == pytest.approx(
        expected['kernel_inception_distance_mean'], rel=1e-9
    )
    assert deviations['KID of subsets'] == pytest.approx(
        expected['kernel_inception_distance_std'], rel=1e-9
    )
    assert by_name['IS'] == pytest.approx(expected['inception_score_mean'], rel=1e-6)
    assert deviations['IS'] == pytest.approx(expected['inception_score_std'], rel=1e-4)
    assert by_name['precision'] == pytest.approx(expected['precision'], rel=1e-4)
    assert by_name['recall'] == pytest.approx(expected['recall'], rel=1e-4)

    # And from its statistics, as pytorch-fid keeps them.
    peers_statistics('peers.npz', digits(120, 210) // 2)
    again = values(scored('a', 'peers.npz', '--inception=weights.pth'))
    assert again['FID'] == pytest.approx(expected['frechet_inception_distance'], rel=1e-4)
