"""Trains runs as one of several processes: python -m tests.programs.processes FOLDER CASE...

The processes know each other by the variables that --distributed reads. The case `streamed` reads
its batches from the host, each process its own part; the others are those of contracts/cases.py.
"""

import pathlib
import sys
from typing import Any

import jax
import numpy as np

from genjax.base import State, Streamed
from genjax.data.batches import shuffled
from genjax.training import Every, Experiment, evaluate, make_mesh, train
from genjax.training.mesh import Mesh
from launch.run import distributed
from tests.contracts.cases import ALGORITHMS, BATCH

STEPS = 50
EVERY = Every(log=10, evaluate=25, save=25)


def experiment(case: str) -> Experiment:
    """The experiment of a case."""
    if case != 'streamed':
        return ALGORITHMS[case]()
    vae = ALGORITHMS['vae']()
    records = [{'x': row} for row in np.asarray(vae.data.train.arrays['x'])]

    def make_batch(raw, step):
        return raw

    batches = shuffled(records, batch=BATCH, seed=1)
    streamed = Streamed(batches.load, batches.stream, make_batch, share=batches.share)
    return vae._replace(data=vae.data._replace(train=streamed))


def run(case: str, folder: pathlib.Path, mesh: Mesh, **options: Any) -> State:
    """Trains a case in folder/CASE; the options are those of `train`."""
    return train(
        experiment(case),
        seed=3,
        steps=STEPS,
        mesh=mesh,
        workdir=folder / case,
        every=EVERY,
        **options,
    )


def main(folder: pathlib.Path, cases: list[str]) -> None:
    """Trains the cases, and checks that a state evaluates to the same twice."""
    distributed.join(True)
    mesh = make_mesh()
    assert (jax.process_count(), jax.local_device_count(), mesh.size) == (2, 2, 4)
    for case in cases:
        state = run(case, folder, mesh)
        first = evaluate(experiment(case), state, seed=3, mesh=mesh)
        second = evaluate(experiment(case), state, seed=3, mesh=mesh)
        assert first['test/loss'] == second['test/loss']


if __name__ == '__main__':
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
