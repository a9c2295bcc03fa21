"""Runs that several processes train together: python -m tests.programs.processes FOLDER CASE..., in
each of them.

What processes share is named by the variables that --distributed reads. The case `streamed` reads
its batches from the host, each process its own part.
"""

import pathlib
import sys

import jax
import numpy as np

from genjax.base import Streamed
from genjax.data.batches import shuffled
from genjax.training import Every, Experiment, evaluate, make_mesh, train
from launch.run import distributed
from tests.contracts.cases import ALGORITHMS, BATCH

STEPS = 50
EVERY = Every(log=10, evaluate=25, save=25)


def experiment(case: str, fetched=lambda row: None) -> Experiment:
    """A case; `fetched` is told of each record that is read from the host."""
    if case != 'streamed':
        return ALGORITHMS[case]()
    vae = ALGORITHMS['vae']()
    records = [{'x': row} for row in np.asarray(vae.data.train.arrays['x'])]

    def read(record):
        fetched(record)
        return record

    load, stream, share = shuffled(records, batch=BATCH, seed=1, read=read)
    return vae._replace(
        data=vae.data._replace(train=Streamed(load, stream, lambda raw, step: raw, '', share))
    )


def run(case: str, folder: pathlib.Path, mesh, **options):
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
    distributed.join(True)
    mesh = make_mesh()
    assert (jax.process_count(), jax.local_device_count(), mesh.size) == (2, 2, 4)
    for case in cases:
        state = run(case, folder, mesh)
        again = evaluate(experiment(case), state, seed=3, mesh=mesh)
        assert (
            again['test/loss'] == evaluate(experiment(case), state, seed=3, mesh=mesh)['test/loss']
        )


if __name__ == '__main__':
    main(pathlib.Path(sys.argv[1]), sys.argv[2:])
