"""Samplers of a trained flow_digits beside each other: distance against number of estimates.

    python -m launch --exp flow_digits --workdir RUN && python -m benchmarks.samplers RUN

Each draws 1,500 images by label, in turn, from the same noise, at guidance 1. The distance is the
Frechet distance (digits classifier) to as many training images, as in the page's own scores; the
reference is ancestral sampling in 500 steps. Nothing is timed.
"""

import argparse
import pathlib

import jax

from experiments._extractor import digits_comparison
from experiments._flow import CLASSES, compared
from experiments._samplers import SAMPLERS
from experiments.flow_digits import SHAPE
from genjax.algorithms.diffusion import (
    Guidance,
    even_times,
    karras_times,
    log_snr_times,
    straight,
)
from genjax.probes.conditional import label_share
from genjax.training import restore
from launch.run.rebuild import plan as planned

TIMES = {'even': even_times, 'log_snr': log_snr_times, 'karras': karras_times}
ESTIMATES = (5, 10, 20)


def main():
    """Prints a line for each sampler, its times and its number of estimates."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('run', type=pathlib.Path, help='a run directory of flow_digits')
    parser.add_argument('--samplers', nargs='*', default=[n for n in SAMPLERS if n != 'sde'])
    parser.add_argument('--times', nargs='*', default=list(TIMES))
    flags = parser.parse_args()
    plan = planned(flags.run)
    step, state = restore(plan.experiment, mesh=plan.mesh, rules=plan.rules, workdir=flags.run)
    config = plan.config
    path = straight()

    def scores(name, times):
        sampler = SAMPLERS[name](path, times)
        comparison = compared(config, SHAPE, digits_comparison, sampler, Guidance(), config.samples)
        features = comparison.sample_features(state)
        distance = comparison.score(features)[0]
        return distance.value, label_share(comparison, state, CLASSES)

    print(f'{flags.run} at step {step}')
    print('| sampler | times | estimates | Frechet distance | of the label |')
    print('| --- | --- | --- | --- | --- |')
    rows = [('ancestral', 'even', 500)]
    for name in flags.samplers:
        rows += [(name, times, n) for times in flags.times for n in ESTIMATES]
    for name, times, estimates in rows:
        steps = (estimates + 1) // 2 if name in ('heun', 'churn') else estimates
        try:
            distance, share = scores(name, TIMES[times](path, steps))
        except ValueError as error:
            print(f'| {name} | {times} | {estimates} | {error} | |')
            continue
        print(f'| {name} | {times} | {estimates} | {distance:.3f} | {share:.3f} |', flush=True)
        jax.clear_caches()


if __name__ == '__main__':
    main()
