"""What the pages of word2vec share: the training of an architecture on a text, and its probes."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from genjax.algorithms.word2vec import (
    Architecture,
    Output,
    Parts,
    add_clipped_steps,
    add_steps,
    input_vectors,
    keep_probability,
    linear_rate,
    mean_of_parts,
    word2vec,
)
from genjax.base import Key, State
from genjax.data.text import Corpus, hold_out
from genjax.data.text.excerpts import excerpts
from genjax.data.words import Subwords, known_ngrams, read_sets
from genjax.data.words.vectors import to_binary, to_safetensors
from genjax.probes.words import (
    Summary,
    answers,
    embedder,
    embedding_measure,
    export,
    neighbours_and_scores,
    unseen_neighbours,
)
from genjax.training import Experiment, Probe

# For vocabularies of millions: each device holds a part of both tables.
SPLIT_TABLES = (('inputs', PartitionSpec('model')), ('outputs', PartitionSpec('model')))


def word2vec_experiment(
    config: ConfigDict,
    text: Corpus,
    architecture: Architecture,
    output: Output,
    *,
    figures: Sequence[Summary] = (),
    subwords: Subwords | None = None,
) -> Experiment:
    """Trains word vectors on a text.

    Scores and neighbours are measured as often as the test loss, files of the vectors written at
    the end.

    Args:
      config: of the page. A `bound` of None stands for plain steps, of which those that would
        diverge are shortened.
      text: with its vocabulary.
      architecture: `skip_gram` or `cbow`.
      output: `negative_sampling` or `full_softmax`.
      figures: of the vectors, at the end.
      subwords: of the vocabulary, whose vectors make those of the words; None for none. With them
        words that the text lacks have vectors too, and the config has some in `unseen`.
    """
    words, counts = text.vocabulary
    parts = None
    if subwords is not None:
        parts = mean_of_parts(subwords.numbers, subwords.counts, chunk=config.chunk)
    algorithm = word2vec(
        architecture,
        output,
        keep=keep_probability(counts, config.sample),
        dimension=config.dimension,
        rate=linear_rate(config.rate, config.steps),
        add=add_steps if config.bound is None else add_clipped_steps(config.bound),
        stable=config.bound is None,
        parts=parts,
    )

    # Read before the text is cut, so that a folder without sets is refused first.
    sets = read_sets(config.word_sets) if config.word_sets else ()
    train, test = hold_out(text, words=config.held_out)
    data = excerpts(
        train,
        batch=config.batch,
        steps=config.steps,
        epochs=config.epochs,
        seed=config.seed,
        test=test,
    )

    embed = embedder(words, vectors_of_all(len(words), parts))
    scores = embedding_measure(embed, neighbours_and_scores(config.examples, *sets))
    files = export(bin=to_binary, safetensors=to_safetensors)
    probes = {
        'words': Probe(config.every.evaluate, scores, scores=True),
        'vectors': Probe(config.steps, embedding_measure(embed, *figures, files)),
    }
    unseen = None
    if subwords is not None:
        unseen = vector_of_unseen(subwords)
        measure = unseen_neighbours(embed, unseen, config.unseen)
        probes['unseen'] = Probe(config.every.evaluate, measure)
    return Experiment(algorithm, data, probes, answers(embed, unseen=unseen))


def vectors_of_all(size: int, parts: Parts | None) -> Callable[[Key, State], jax.Array]:
    """(key, state) -> the input vectors of so many words."""

    @jax.jit
    def of_words(state, words):
        return input_vectors(state, words[None], parts)[0]

    def vectors(key, state):
        del key
        if parts is None:
            return state.inputs
        return of_words(state, np.arange(size, dtype=np.int32))

    return vectors


def vector_of_unseen(subwords: Subwords) -> Callable[[Key, State, str], np.ndarray | None]:
    """(key, state, word) -> the mean of its n-grams that the text has; None where it has none."""

    def vector(key, state, word):
        del key
        numbers = known_ngrams(word, subwords)
        return np.asarray(state.inputs[numbers]).mean(0) if len(numbers) else None

    return vector
