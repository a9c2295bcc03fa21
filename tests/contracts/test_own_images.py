"""The pages of images of your own, on the digits of scikit-learn written out as PNG files."""

import json
import math

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from experiments import diffusion_folder, gan_folder
from experiments._own import labels_by_share
from genjax.training import Every, make_mesh, train
from launch.__main__ import main
from launch.cli.overrides import override
from tests.marks import slow


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    """A folder of 1,797 PNG files, in folders 0 to 9."""
    folder = tmp_path_factory.mktemp('digits') / 'digits'
    images, labels = load_digits(return_X_y=True)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = folder / str(label) / f'{i:04}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = np.rint(image.reshape(8, 8) * (255 / 16)).astype(np.uint8)
        Image.fromarray(levels).save(path)
    return folder


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


FLOW = {
    'size': '8',
    'unet.width': '4',
    'unet.multipliers': '(1,)',
    'unet.attend_at': '()',
    'unet.blocks': '1',
    'unet.channels_per_group': '1',
}
GAN = {'size': '8', 'width': '2'}


@pytest.mark.parametrize(('page', 'settings'), [slow(diffusion_folder, FLOW), (gan_folder, GAN)])
def test_a_page_takes_a_folder_and_takes_steps(page, settings, digits, tmp_path):
    settings = settings | {'images': f'folder:{digits}', 'steps': '2', 'batch': '8'}
    config = override(page.get_config(), settings)
    experiment = page.build(config)
    expected = {'samples', 'fidelity'}
    expected |= {'guidance', 'labels', 'scales'} if page is diffusion_folder else {'scores'}
    assert expected <= set(experiment.probes)
    assert experiment.data.about['labels'] == dict(
        zip('0123456789', np.bincount(load_digits().target).tolist(), strict=True)
    )
    mesh = make_mesh(jax.devices()[:1])
    without_probes = experiment._replace(probes={})
    train(without_probes, seed=0, steps=2, mesh=mesh, workdir=tmp_path, every=Every(1, 2, 2))
    last = json.loads((tmp_path / 'metrics.jsonl').read_text().splitlines()[-1])
    assert math.isfinite(last['loss']) and math.isfinite(last['test/loss'])


def test_without_labels_a_page_asks_for_none(digits):
    settings = FLOW | {'images': f'folder:{digits / "0"}', 'steps': '2', 'batch': '8'}
    experiment = diffusion_folder.build(override(diffusion_folder.get_config(), settings))
    assert not {'guidance', 'labels', 'scales', 'fidelity'} & set(experiment.probes)
    batch = experiment.data.train[0]
    state = jax.eval_shape(experiment.algorithm.init, jax.random.key(0), batch)
    update = jax.eval_shape(experiment.algorithm.update, jax.random.key(0), state, batch)
    assert 'loss' in update[1]


@pytest.mark.parametrize('page', [diffusion_folder, gan_folder])
def test_settings_follow_the_number_of_images_until_they_are_set(page, digits, tmp_path):
    few = override(page.get_config(), {'images': f'folder:{digits}'})
    many = override(page.get_config(), {})
    assert few.steps < many.steps and few.batch <= many.batch
    assert override(page.get_config(), {'images': f'folder:{digits}', 'steps': '7'}).steps == 7
    gone = override(page.get_config(), {'images': 'folder:/nowhere', 'size': '64'})
    assert gone.steps == many.steps and gone.size == 64


@pytest.mark.parametrize('size', [8, 16, 24, 32, 48, 64, 96, 128, 256])
def test_the_levels_fit_the_size(size):
    multipliers = diffusion_folder.multipliers_of(size)
    sides = [size >> level for level in range(len(multipliers))]
    assert size % 2 ** (len(multipliers) - 1) == 0
    assert set(diffusion_folder.attend_at_of(size)) <= set(sides[1:])
    assert sides[-1] >= 4


def test_samples_have_labels_as_often_as_images_have():
    counts = np.array([900, 0, 90, 10])
    drawn = np.asarray(labels_by_share(counts)(jax.random.key(0), 20_000))
    shares = np.bincount(drawn, minlength=4) / 20_000
    expected = counts / 1000
    errors = np.sqrt(expected * (1 - expected) / 20_000)
    assert (np.abs(shares - expected) <= 4 * errors).all()


@pytest.mark.parametrize('page', ['diffusion_folder', 'gan_folder'])
def test_a_page_without_a_name_is_refused_in_a_line(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['--exp', page]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("the images are ''; name folder:PATH")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ('page', 'settings', 'least'),
    [
        (
            'diffusion_folder',
            ['steps=600', 'unet.width=16', 'unet.blocks=1', 'sampler.steps=4'],
            0.5,
        ),
        ('gan_folder', ['steps=6000', 'width=16'], 0.25),
    ],
)
def test_a_launch_on_a_folder_comes_to_digits(page, settings, least, digits, tmp_path):
    """Samples of noise are of precision 0; those of flow_digits and gan_digits come to 0.8."""
    common = [f'images=folder:{digits}', 'size=8', 'samples=500', 'classifier=500']
    flags = [f'--config.{text}' for text in common + settings]
    run = tmp_path / 'run'
    assert main(['--exp', page, *flags, '--workdir', str(run)]) == 0
    manifest = json.loads((run / 'manifest.json').read_text())
    assert manifest['about']['train'] + manifest['about']['test'] == 1797
    last = json.loads((run / 'metrics.jsonl').read_text().splitlines()[-1])
    (precision,) = (value for name, value in last.items() if '/precision' in name)
    assert precision > least
