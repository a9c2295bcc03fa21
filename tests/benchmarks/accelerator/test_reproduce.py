"""Experiments beside the record, several at the same time."""

import shlex
import threading

from benchmarks.accelerator import reproduce
from tests.programs.comparison import Result
from tests.programs.reproduce import commands, read_record


def test_the_order_has_every_experiment_once():
    known = commands()
    assert sorted(reproduce.in_order(known)) == sorted(known)
    assert set(reproduce.FIRST) <= set(known)


def test_each_has_its_verdict_and_none_waits_for_another():
    """One is as recorded, one differs, one fails; the first to be begun ends last."""
    known = commands()
    record = read_record()
    names = ['kl_fit', 'pca_digits', 'gan_finite']
    others_done = threading.Barrier(3)

    def train(argv, name):
        others_done.wait(60)
        entry = record[name]
        if name == 'gan_finite':
            return Result(3.0, 'exit code 1: no memory')
        rows = [row | {'loss': 1e9} if name == 'pca_digits' else row for row in entry['rows']]
        return Result(2.0, '', rows, entry['environment'])

    assert {shlex.join(known[name]) for name in names} == {record[n]['command'] for n in names}
    found = {}
    reproduce.compare(names, known, 3, train, lambda what, value, note: found.update({what: value}))
    assert found['kl_fit'] == 'to the bit'
    assert found['pca_digits'].startswith('DIFFERENT: step')
    assert found['gan_finite'] == 'DIFFERENT: exit code 1: no memory'
