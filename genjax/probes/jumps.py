"""What few steps of a flow map cost: how far they end from where the ODE ends.

A score of samples does not see whether a step lands where it should, only where all of them land
together. Here each draw of noise is followed by a few steps and by the ODE to its end, and the
two are compared: the error of the map itself.

n draws, C classes, S steps, F frames.
"""

from collections.abc import Mapping

import jax
import numpy as np

from genjax.metrics.energy import energy_distance
from genjax.probes.conditional import label_share
from genjax.probes.fidelity import Comparison
from genjax.probes.figures import Measure, Sample, render

MARKERS = 'os^vD<>p*X'


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
      A measure of the root mean square of the distance, 'error_METHOD_STEPS', of the table
      'map_errors' with a row for each method, where errors are also given as shares of the
      deviation of the ends, and of a picture of these, 'curves'.
    """
    draws = {
        method: {steps: jax.jit(sample, static_argnums=2) for steps, sample in of.items()}
        for method, of in jumps.items()
    }
    draw_ends = {method: jax.jit(sample, static_argnums=2) for method, sample in ends.items()}

    def measure(key, state):
        numbers = {}
        rows = []
        shares = {}
        for method, of in draws.items():
            end = _points(draw_ends[method](key, state, n))
            deviation = _deviation(end)
            row = {'method': method}
            if real is not None:
                row['ode, energy distance'] = f'{energy_distance(end, real):.5f}'
            for steps, draw in of.items():
                x = _points(draw(key, state, n))
                error = _distance(x, end)
                shares.setdefault(method, {})[steps] = error / deviation
                numbers[f'error_{method}_{steps}'] = error
                row[f'{steps}, error'] = f'{error:.4f}'
                row[f'{steps}, of the deviation'] = f'{error / deviation:.2%}'
                if real is not None:
                    row[f'{steps}, energy distance'] = f'{energy_distance(x, real):.5f}'
            rows.append(row)
        return numbers | {'map_errors': rows, 'curves': _curves(shares)}

    return measure


def step_errors(
    chains: Mapping[str, Mapping[int, Sample]], ways: Mapping[str, Sample], *, n: int = 1000
) -> Measure:
    """The distance of few steps from the ODE, after each of them.

    Args:
      chains: method -> number of steps S -> (key, state, n) -> x after each step, [S, n, ...].
      ways: method -> (key, state, n) -> x along the ODE from the same key's noise, [F, n, ...],
        where F is a multiple of each S and frame (i + 1) F / S - 1 is of the time of step i.
      n: how many draws.

    Returns:
      A measure of the root mean square of the distance at the end, 'error_METHOD_STEPS', of the
      table 'step_errors' with a row for each method and number of steps and a column for each step,
      where errors are shares of the deviation of the ends, and of a picture of it, 'step_by_step'.

    Raises:
      ValueError: when measured, a way whose frames are no multiple of the steps.
    """
    draws = {
        method: {steps: jax.jit(chain, static_argnums=2) for steps, chain in of.items()}
        for method, of in chains.items()
    }
    draw_ways = {method: jax.jit(way, static_argnums=2) for method, way in ways.items()}

    def measure(key, state):
        numbers = {}
        shares = {}
        for method, of in draws.items():
            way = np.asarray(draw_ways[method](key, state, n), np.float64)
            deviation = _deviation(_points(way[-1]))
            shares[method] = {}
            for steps, draw in of.items():
                if len(way) % steps:
                    raise ValueError(f'steps is {steps}; the ODE of {method} has {len(way)} frames')
                apart = len(way) // steps
                chain = np.asarray(draw(key, state, n), np.float64)
                errors = [
                    _distance(_points(x), _points(at))
                    for x, at in zip(chain, way[apart - 1 :: apart], strict=True)
                ]
                numbers[f'error_{method}_{steps}'] = errors[-1]
                shares[method][steps] = [error / deviation for error in errors]
        return numbers | {'step_errors': _step_rows(shares), 'step_by_step': _steps(shares)}

    return measure


def _points(x):
    """[n, ...] as float64 rows."""
    return np.asarray(x, np.float64).reshape(len(x), -1)


def _distance(x, y):
    """The root mean square of the distance of rows."""
    return np.sqrt(np.mean(np.sum((x - y) ** 2, -1)))


def _deviation(x):
    return _distance(x, x.mean(0))


def _step_rows(shares):
    return [
        {'method': method, 'steps': steps}
        | {f'after {i + 1}': f'{share:.2%}' for i, share in enumerate(line)}
        for method, of in shares.items()
        for steps, line in of.items()
    ]


def _curves(shares):
    """A line for each method, method -> steps -> error, on logarithmic axes, uint8 [H, W, 3]."""
    from matplotlib.figure import Figure

    figure = Figure((7, 5), 100, layout='constrained')
    axes = figure.add_subplot(
        xscale='log', yscale='log', xlabel='steps', ylabel='error, share of the deviation'
    )
    for i, (method, line) in enumerate(shares.items()):
        marker = MARKERS[i % len(MARKERS)]
        axes.plot(list(line), list(line.values()), marker=marker, label=method)
    counts = sorted({count for line in shares.values() for count in line})
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(color='#dddddd', linewidth=0.6)
    axes.legend()
    return render(figure)


def _steps(shares):
    """A panel for each method with a line for each number of steps, uint8 [H, W, 3]."""
    from matplotlib.figure import Figure

    figure = Figure((0.5 + 3.5 * len(shares), 3.5), 100, layout='constrained')
    panels = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
    for axes, (method, of) in zip(panels, shares.items(), strict=True):
        for i, (steps, line) in enumerate(of.items()):
            done = np.arange(1, steps + 1) / steps
            axes.plot(done, line, marker=MARKERS[i % len(MARKERS)], label=f'{steps} steps')
        axes.set(title=method, xlabel='share of the way', yscale='log', xlim=(0, 1.05))
        axes.grid(color='#dddddd', linewidth=0.6)
    panels[0].set_ylabel('distance from the own ODE,\nshare of the deviation')
    panels[-1].legend()
    return render(figure)


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
