"""What the pages of word2vec share: the training of an architecture on a text, and its probes."""

from collections.abc import Sequence

import jax
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from genjax.algorithms.word2vec import (
    Architecture,
    Output,
    add_clipped_steps,
    add_steps,
    keep_probability,
    linear_rate,
    word2vec,
)
from genjax.base import Key, State
from genjax.data.text import Corpus, hold_out
from genjax.data.text.excerpts import excerpts
from genjax.data.words import read_sets
from genjax.data.words.vectors import to_binary, to_safetensors
from genjax.probes.words import (
    Summary,
    answers,
    embedder,
    embedding_measure,
    export,
    neighbours_and_scores,
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
    """
    words, counts = text.vocabulary
    algorithm = word2vec(
        architecture,
        output,
        keep=keep_probability(counts, config.sample),
        dimension=config.dimension,
        rate=linear_rate(config.rate, config.steps),
        add=add_steps if config.bound is None else add_clipped_steps(config.bound),
        stable=config.bound is None,
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

    def input_vectors(key: Key, state: State) -> jax.Array:
        return state.inputs

    embed = embedder(words, input_vectors)
    scores = embedding_measure(embed, neighbours_and_scores(config.examples, *sets))
    files = export(bin=to_binary, safetensors=to_safetensors)
    probes = {
        'words': Probe(config.every.evaluate, scores, scores=True),
        'vectors': Probe(config.steps, embedding_measure(embed, *figures, files)),
    }
    return Experiment(algorithm, data, probes, answers(embed))
