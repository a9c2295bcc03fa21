"""Fidelity scores as text, with how they were made and the bias of few examples."""

from collections.abc import Sequence

from genjax.metrics import fidelity
from genjax.metrics.protocol import Protocol, Score, require_same_features

HEADER = ('score', 'value', 'deviation', 'of infinitely many', 'of real examples', '')


def score_table(scores: Sequence[Score], reference: Sequence[Score] = ()) -> str:
    """Scores of one protocol as text: the protocol, then a line for each score.

    Args:
      scores: of generated examples.
      reference: those of as many other real examples in their place, which a perfect generator
        would get.

    Raises:
      ValueError: the scores are not of one extractor and of the same numbers of examples.
    """
    protocol = scores[0].protocol
    for score in (*scores, *reference):
        require_same_features(protocol, score.protocol)
    reference_values = {score.name: f'{score.value:.5g}' for score in reference}
    rows = [HEADER]
    for score in scores:
        row = (
            score.name,
            f'{score.value:.5g}',
            _number(score.deviation),
            _number(score.limit),
            reference_values.get(score.name, ''),
            _remark(score),
        )
        rows.append(row)

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ['  '.join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return '\n'.join([_description(protocol), '', *lines]) + '\n'


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.5g}'


def _description(protocol: Protocol) -> str:
    seeds = ', '.join(map(str, protocol.seeds))
    return (
        f'extractor {protocol.extractor}, weights {protocol.weights}, resize {protocol.resize}\n'
        f'{protocol.real} real examples of {protocol.split}, '
        f'{protocol.fake} fake ones, average of parameters: {protocol.average}, seeds {seeds}'
    )


def _remark(score: Score) -> str:
    """What few examples do to a score."""
    n = min(score.protocol.real, score.protocol.fake)
    if n >= fidelity.LARGE_SAMPLE:
        return ''
    if score.limit is None:
        return f'changes with the number of examples, {n}'
    if score.limit < 0:
        return f'biased; {n} are too few to say by how much'
    if score.limit == score.value:
        return 'unbiased'
    return f'biased by {score.value - score.limit:+.3g} with {n}'
