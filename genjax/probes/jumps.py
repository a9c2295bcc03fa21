"""What few steps of a flow map cost: how far they end from where the ODE ends.

A score of samples does not see whether a step lands where it should, only where all of them land
together. Here each draw of noise is followed by a few steps and by the ODE to its end, and the
two are compared: the error of the map itself.

n draws, C classes.
"""

from collections.abc import Mapping

import jax
import numpy as np

from genjax.metrics.energy import energy_distance
from genjax.probes.conditional import label_share
from genjax.probes.fidelity import Comparison
from genjax.probes.figures import Measure, Sample


def map_errors(
    jumps: Mapping[str, Mapping[int, Sample]],
    ends: Mapping[str, Sample],
    *,
    n: int = 1000,
    real: np.ndarray | None = None,
) -> Measure:
    """The distance of few steps from the end of the ODE, from the same noise.

    Args:
      jumps: method -> number of steps -> (key, state, n) -> [n, ...].
      ends: method -> what the ODE makes of the same key's noise.
      n: how many draws.
      real: data [N, D], with which the samples are also compared by the energy distance.

    Returns:
      A measure of the root mean square of the distance, 'error_METHOD_STEPS', and of the table
      'map_errors' with a row for each method, where errors are also given as shares of the
      deviation of the ends.
    """
    draws = {
        method: {steps: jax.jit(sample, static_argnums=2) for steps, sample in of.items()}
        for method, of in jumps.items()
    }
    draw_ends = {method: jax.jit(sample, static_argnums=2) for method, sample in ends.items()}

    def measure(key, state):
        numbers = {}
        rows = []
        for method, of in draws.items():
            end = np.asarray(draw_ends[method](key, state, n), np.float64).reshape(n, -1)
            deviation = np.sqrt(np.mean(np.sum((end - end.mean(0)) ** 2, -1)))
            row = {'method': method}
            if real is not None:
                row['ode, energy distance'] = f'{energy_distance(end, real):.5f}'
            for steps, draw in of.items():
                x = np.asarray(draw(key, state, n), np.float64).reshape(n, -1)
                error = np.sqrt(np.mean(np.sum((x - end) ** 2, -1)))
                numbers[f'error_{method}_{steps}'] = error
                row[f'{steps}, error'] = f'{error:.4f}'
                row[f'{steps}, of the deviation'] = f'{error / deviation:.2%}'
                if real is not None:
                    row[f'{steps}, energy distance'] = f'{energy_distance(x, real):.5f}'
            rows.append(row)
        return numbers | {'map_errors': rows}

    return measure


def steps_table(comparisons: Mapping[str, Comparison], classes: int | None) -> Measure:
    """A row of scores for each number of evaluations, 'evaluations'.

    Args:
      comparisons: what the evaluations are -> comparison of samples, with labels in turn.
      classes: C; None: the samples have no labels.
    """

    def measure(key, state):
        del key
        rows = []
        for name, comparison in comparisons.items():
            row = {'evaluations': name}
            if classes is not None:
                row['label accuracy'] = f'{label_share(comparison, state, classes):.4f}'
            features = comparison.sample_features(state)
            row |= {score.name: f'{score.value:.4g}' for score in comparison.score(features)}
            rows.append(row)
        return {'evaluations': rows}

    return measure
