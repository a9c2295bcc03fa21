"""Every score of word vectors at once; and real sets on real vectors, against gensim."""

import itertools
import logging
import lzma

import numpy as np
import pytest

from genjax.base import Embedding
from genjax.data.words.sets import read_sets
from genjax.metrics.analogies import accuracies, analogies, analogy_table
from genjax.metrics.similarity import similarity
from genjax.metrics.words import scores
from tests.metrics.word_vectors import (
    assert_same_correlations,
    planted_analogies,
    section_counts,
)


def test_scores_have_every_figure_and_the_mean_of_four():
    embedding, questions = planted_analogies(0.5)
    rng = np.random.default_rng(6)
    names = embedding.words

    def random_pairs():
        return [(names[i], names[j], rng.normal()) for i, j in rng.integers(0, 32, (50, 2))]

    sets = {name: random_pairs() for name in ('men', 'wordsim353', 'simlex999', 'rg65')}
    found = scores(embedding, sets, questions)
    for name, content in sets.items():
        assert found[name] == similarity(embedding, content)['spearman']
        assert found[f'{name}_coverage'] == 1
    _, numbers = analogy_table(embedding, questions)
    for name, value in numbers.items():
        assert found[f'analogies_{name}'] == value
    assert found['analogies'] == found['analogies_restricted_add']
    four = [found[name] for name in ('men', 'wordsim353', 'simlex999', 'analogies')]
    assert found['mean'] == pytest.approx(np.mean(four))
    assert 'mean' not in scores(embedding, sets)
    assert all(isinstance(value, float) for value in found.values())


def trained(folder, gensim, count=12_000):
    """gensim's vectors of the first sentences of the corpus, which take seconds.

    Returns:
      The Embedding, and gensim's own.
    """
    with lzma.open(folder / 'text' / 'corpus.txt.xz', 'rt') as file:
        sentences = [line.split() for line in itertools.islice(file, count)]
    model = gensim.models.Word2Vec(
        sentences, vector_size=50, min_count=3, workers=1, epochs=5, sg=1, seed=1
    )
    return Embedding(model.wv.index_to_key, model.wv.vectors), model.wv


@pytest.mark.peers
@pytest.mark.slow
def test_real_sets_on_real_vectors_are_gensims(real_data, tmp_path):
    import gensim

    logging.getLogger('gensim').setLevel(logging.ERROR)
    embedding, vectors = trained(real_data, gensim)
    sets = read_sets(real_data / 'words')
    path = str(real_data / 'words' / 'questions-words.txt')
    for restrict in (3_000, 300_000):
        score, sections = vectors.evaluate_word_analogies(path, restrict_vocab=restrict)
        ours = analogies(embedding, sets.analogies, restrict=restrict)
        assert {s.category: (s.right, s.answered) for s in ours} == section_counts(sections[:-1])
        assert accuracies(ours)['accuracy'] == pytest.approx(score, abs=1e-6)
    for name in ('men', 'simlex999', 'rg65'):
        pairs = sets.similarity[name]
        file = tmp_path / name
        file.write_text(''.join(f'{a}\t{b}\t{score}\n' for a, b, score in pairs))
        theirs = vectors.evaluate_word_pairs(str(file))
        assert_same_correlations(similarity(embedding, pairs), theirs)
