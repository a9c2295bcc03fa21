"""Whether a run that is resumed in another process comes out to the bit, as promised on a CPU.

Each case trains some steps straight, keeping a checkpoint in the middle; another process goes on
from a copy of that checkpoint. Both are done as users run them, and with XLA's deterministic
operations.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping

from benchmarks.accelerator.boxes import ROOT, last_line
from benchmarks.accelerator.setting import Add, Setting

STEPS = 40
DETERMINISTIC = '--xla_gpu_deterministic_ops=true'
CASES = ('U-Net', 'DCGAN', 'word2vec', 'VAE')
SMALL_CASES = ('VAE',)
WAYS = {'by default': '', 'deterministic operations': DETERMINISTIC}


def measure(setting: Setting, add: Add) -> None:
    """The stage: both ways at the same time, since nothing is timed."""
    cases = SMALL_CASES if setting.small else CASES
    folders = {way: setting.work / f'resume-{i}' for i, way in enumerate(WAYS)}
    for part in ('straight', 'resumed'):
        started = {way: start(part, folders[way], WAYS[way], cases) for way in WAYS}
        for process in started.values():
            process.wait()
    for way, folder in folders.items():
        straight, resumed = (read(folder / f'{part}.json') for part in ('straight', 'resumed'))
        for case in cases:
            note = '' if case in resumed else last_line(log_of(folder, 'resumed'))
            add(f'{case}, {way}', verdict(straight.get(case), resumed.get(case)), note=note)


def start(
    part: str, folder: pathlib.Path, xla_flags: str, cases: tuple[str, ...]
) -> subprocess.Popen:
    """A process that trains the cases straight, or resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = f'{os.environ.get("XLA_FLAGS", "")} {xla_flags}'.strip()
    env = os.environ | {'XLA_FLAGS': flags, 'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}
    command = [sys.executable, '-m', 'benchmarks.accelerator.resume', part, str(folder), *cases]
    with log_of(folder, part).open('w') as log:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)


def log_of(folder: pathlib.Path, part: str) -> pathlib.Path:
    return folder / f'{part}.log'


def verdict(straight: Mapping[str, str] | None, resumed: Mapping[str, str] | None) -> str:
    """How two states compare, each {leaf: dtype, shape and hash}."""
    if straight is None or resumed is None:
        return 'not trained'
    different = [name for name in straight if straight[name] != resumed.get(name)]
    if not different:
        return 'to the bit'
    return f'DIFFERENT in {len(different)} of {len(straight)} leaves, {different[0]} first'


def read(path: pathlib.Path) -> dict[str, dict[str, str]]:
    """The digests of each case; none where the process did not come so far."""
    return json.loads(path.read_text('utf-8')) if path.exists() else {}


def train_cases(part: str, folder: pathlib.Path, cases: list[str]) -> None:
    """Trains cases and keeps the digests of their last states, after each."""
    from genjax.training.digest import digest

    digests = {}
    for case in cases:
        digests[case] = digest(train_case(part, folder, case))
        (folder / f'{part}.json').write_text(json.dumps(digests), 'utf-8')


def train_case(part: str, folder: pathlib.Path, case: str):
    """The last state of a case; the resumed one goes on from the middle of the straight one."""
    import jax

    from genjax.training import Every, make_mesh, train

    straight = folder / f'{case}-straight'
    workdir = folder / f'{case}-{part}'
    if part == 'resumed':
        middle = pathlib.Path('checkpoints', str(STEPS // 2))
        shutil.copytree(straight / middle, workdir / middle)
    return train(
        experiment(case),
        seed=0,
        steps=STEPS,
        mesh=make_mesh(jax.devices()[:1]),
        workdir=workdir,
        every=Every(log=STEPS, evaluate=STEPS, save=STEPS // 2),
    )


def experiment(case: str):
    """The experiment of a case: its convolutions and its sums over rows are what may differ."""
    from benchmarks import trainer

    if case == 'U-Net':
        return trainer.digits()[0]
    if case == 'VAE':
        return trainer.vae()[0]
    return _dcgan() if case == 'DCGAN' else _word2vec()


def _dcgan():
    import jax.numpy as jnp
    import numpy as np
    import optax

    from genjax.algorithms.gan import Model, gan, non_saturating
    from genjax.base import Data, Resident
    from genjax.networks.dcgan import Discriminator, Generator
    from genjax.training import Experiment

    size, batch = 32, 64
    images = np.random.default_rng(0).uniform(-1, 1, (256, size, size, 3)).astype(np.float32)

    def make_batch(images, step):
        return {'x': images[(step * batch + jnp.arange(batch)) % len(images)]}

    model = Model(Generator(size), Discriminator(), 100)
    adam = optax.adam(2e-4, b1=0.5)
    algorithm = gan(model, adam, adam, game=non_saturating)
    return Experiment(algorithm, Data(Resident(jnp.asarray(images), make_batch), []), {})


def _word2vec():
    """Words whose rows many pairs of a step share."""
    import numpy as np

    from genjax.algorithms.word2vec import (
        add_clipped_steps,
        keep_probability,
        negative_sampling,
        skip_gram,
        word2vec,
    )
    from genjax.data.text import read_corpus
    from genjax.data.text.excerpts import excerpts
    from genjax.training import Experiment

    draw = np.random.default_rng(0)
    lines = [' '.join(f'w{i}' for i in draw.zipf(1.3, 20) if i < 2000) for _ in range(20_000)]
    text = read_corpus(lines, min_count=1, tokenize=str.split)
    counts = text.vocabulary.counts
    algorithm = word2vec(
        skip_gram(window=5, block=64),
        negative_sampling(counts, negatives=5, shared=32),
        keep=keep_probability(counts, 1e-3),
        dimension=100,
        rate=lambda step: 0.05,
        add=add_clipped_steps(0.3),
    )
    return Experiment(algorithm, excerpts(text, batch=64, steps=STEPS, epochs=5.0, seed=0), {})


if __name__ == '__main__':
    train_cases(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:])
