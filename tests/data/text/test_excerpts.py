"""Excerpts of a text: what an epoch visits, and what one passage holds."""

import numpy as np
import pytest

from genjax.data.text import Corpus, Vocabulary
from genjax.data.text.excerpts import excerpts, passage, random_excerpts

IDS = np.array([0, 1, 2, -1, 3, 4, -1, 0, 5, 6, 7, -1, 8, 9, 1, 2, -1], np.int32)
CORPUS = Corpus(IDS, Vocabulary(tuple('abcdefghij'), np.full(10, 10)))
LONG = Corpus(np.arange(1000, dtype=np.int32), CORPUS.vocabulary)


def words(data, step):
    return np.asarray(data.train[step]['words'])


def test_an_epoch_visits_different_places_and_each_next_one_cuts_anew():
    data = excerpts(
        LONG, batch=2, steps=300, epochs=6, seed=0
    )  # 10 places an excerpt, 50 steps an epoch
    epochs = [np.concatenate([words(data, 50 * e + i) for i in range(50)]) for e in range(3)]
    for rows in epochs:
        assert (np.diff(rows, axis=1) % 1000 == 1).all()  # consecutive, on a ring
        assert sorted(rows.ravel()) == list(range(1000))
    assert len({rows[:, 0].min() for rows in epochs}) > 1
    assert not np.array_equal(epochs[0], epochs[1])


def test_the_batch_of_a_step_depends_on_the_seed_alone():
    one, same, other = (excerpts(LONG, batch=2, steps=300, epochs=6, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(words(one, 123), words(same, 123))
    assert not np.array_equal(words(one, 123), words(other, 123))


@pytest.mark.parametrize(('batch', 'steps'), [(1, 3), (2, 2), (4, 5), (1, 1)])
@pytest.mark.parametrize('overlap', [0, 2])
def test_a_passage_holds_every_place_once_after_its_overlap(batch, steps, overlap):
    data = passage(CORPUS, batch=batch, steps=steps, overlap=overlap, test=CORPUS)
    rows = np.concatenate([words(data, step) for step in range(steps)])
    for read in (rows, np.concatenate([batch['words'] for batch in data.test])):
        text = read[:, overlap:].ravel()
        np.testing.assert_array_equal(text[: len(IDS)], IDS)
        assert (text[len(IDS) :] == -1).all()
        before = np.concatenate([np.full(overlap, -1), text])
        for i, row in enumerate(read):
            start = i * (read.shape[1] - overlap)
            np.testing.assert_array_equal(row[:overlap], before[start : start + overlap])
    assert (words(data, steps)[:, overlap:] == -1).all()


def test_a_corpus_too_short_for_its_steps_is_refused():
    with pytest.raises(
        ValueError, match='steps is 100; 2 epochs of 17 places in batches of 4 excerpts'
    ):
        excerpts(CORPUS, batch=4, steps=100, epochs=2, seed=0)


def test_random_excerpts_begin_anywhere_and_are_whole():
    data = random_excerpts(LONG, batch=50, length=7, seed=0, test=CORPUS)
    rows = np.concatenate([words(data, step) for step in range(200)])
    assert (np.diff(rows, axis=1) == 1).all()
    assert rows.min() == 0 and rows.max() == 999
    begun = np.bincount(rows[:, 0], minlength=994)
    assert len(begun) == 994
    # Of 10,000, some 10 at each place: those of a tenth of the places are normal within 5 errors.
    tenths = begun[:990].reshape(10, 99).sum(1)
    assert np.abs(tenths - 10_000 * 99 / 994).max() < 5 * 1_000**0.5
    np.testing.assert_array_equal(words(data, 3), words(data, 3))
    tests = np.concatenate([batch['words'] for batch in data.test])
    np.testing.assert_array_equal(tests.ravel()[: len(IDS)], IDS)


def test_an_excerpt_longer_than_the_text_is_refused():
    with pytest.raises(ValueError, match='^length is 18, batch 1; 17 places allow 1 to 17, and 1'):
        random_excerpts(CORPUS, batch=1, length=18, seed=0)
