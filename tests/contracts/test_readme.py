"""The five commands of the README's second screen, as a user would type them."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

ROOT = pathlib.Path(__file__).parents[2]
HEADING = '## Your images in, samples and scores out'
# What makes the commands small. Nothing else of them is changed.
SMALL = (
    '--config.size=8 --config.steps=4 --config.batch=8 --config.unet.width=8'
    ' --config.unet.blocks=1 --config.samples=20 --config.classifier=2 --config.sampler.steps=2'
)
REPLACED = {'--inception FILE': '--classifier digits:2', '--n 5000': '--n 60', '--size 32': ''}


def commands():
    text = (ROOT / 'README.md').read_text('utf-8')
    block = re.search(f'{re.escape(HEADING)}\n\n```\n(.*?)```', text, re.DOTALL)
    return block[1].splitlines()


def test_there_are_five():
    assert len(commands()) == 5


def write_digits(folder, count):
    images, labels = load_digits(return_X_y=True)
    for i in range(count):
        path = folder / str(labels[i]) / f'{i:04}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = np.rint(images[i].reshape(8, 8) * (255 / 16)).astype(np.uint8)
        Image.fromarray(levels).save(path)


@pytest.mark.slow
def test_they_do_what_is_said(tmp_path):
    write_digits(tmp_path / 'photos', 300)
    write_digits(tmp_path / 'sketches', 300)
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'XDG_CACHE_HOME': str(tmp_path / 'cache')}
    for command in commands():
        for given, small in REPLACED.items():
            command = command.replace(given, small)
        if '--exp' in command:
            command = f'{command} {SMALL}'
        words = command.split()
        assert words[0] == 'python'
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f'{command}\n{done.stderr[-2000:]}'
    assert len(list((tmp_path / 'drawn').glob('*.png'))) == 60
    assert (tmp_path / 'weights' / 'model.safetensors').stat().st_size > 0
    begun = [path for path in (tmp_path / 'runs').glob('diffusion_folder-*') if path.is_dir()]
    assert len(begun) == 1
