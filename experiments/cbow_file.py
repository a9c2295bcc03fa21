"""word2vec on any text file: the mean of the neighbours predicts the word between them (CBOW), by
negative sampling.

A file has one sentence or paragraph a line, plain or .gz or .xz. A run is `epochs` passes through
it, cut into `steps`.

Run     python -m launch --exp cbow_file --config.corpus=corpus.txt.xz --config.word_sets=words
Smoke   python -m launch --exp cbow_file --config.corpus=README.md --config.steps=4 --config.epochs=1 --config.batch=2
        --config.held_out=60
Small   python -m launch --exp cbow_file --config.corpus=docs --config.steps=300 --config.epochs=3
Source  Mikolov et al. 2013, arXiv:1301.3781 and arXiv:1310.4546
Ours    21 million words of Wikipedia, 5 epochs, 86 s in all (commit 9a9d736, one core): MEN 0.568, WordSim-353 0.604,
        SimLex-999 0.273, Google analogies 32.7 % among the first 30,000 words
"""

from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from genjax.algorithms.word2vec.outputs import negative_sampling
from genjax.algorithms.word2vec.windows import cbow
from genjax.algorithms.word2vec.word2vec import added, bounded, falling, kept_share, word2vec
from genjax.data.text.corpus import held_out, read_corpus, tokenizer_of
from genjax.data.text.excerpts import excerpts
from genjax.data.words.sets import read_sets
from genjax.data.words.vectors import to_binary, to_safetensors
from genjax.probes.words import (
    answers,
    capitals,
    embedder,
    embedding_measure,
    export,
    neighbours_and_scores,
)
from genjax.training.train import Experiment, Probe

RULES = (('table', PartitionSpec('model')),)  # for vocabularies of millions


def get_config():
    config = dict(
        seed=0,
        steps=2000,
        epochs=5.0,
        batch=8,  # excerpts of the text that are read side by side
        corpus='',
        tokenizer='words',  # or 'characters', or 'spaces' for words that spaces part already
        min_count=5,
        max_size=1_000_000,  # words
        held_out=20_000,  # words
        word_sets='',  # folder of similarity sets and analogies; '' for none
        model=dict(window=5, block=64),
        noise=dict(negatives=5, shared=32),
        sample=1e-3,  # of subsampling; 0 for none
        dimension=100,
        rate=(0.025, 1e-4),  # at the start and at the end
        # Of a row's step, for large batches; None shortens those alone that would diverge
        bound=None,
        examples=('king', 'paris', 'river', 'music', 'monday', 'quickly', 'better', 'three'),
        every=dict(log=50, evaluate=500, save=500),
    )
    return ConfigDict(config)


def build(config):
    tokenize = tokenizer_of(config.tokenizer).split
    sizes = dict(min_count=config.min_count, max_size=config.max_size)
    text = read_corpus(config.corpus, **sizes, tokenize=tokenize)
    words, counts = text.vocabulary
    rate = falling(config.rate, config.steps)
    add = added if config.bound is None else bounded(config.bound)
    options = dict(
        keep=kept_share(counts, config.sample),
        dimension=config.dimension,
        rate=rate,
        add=add,
        stable=config.bound is None,
    )
    algorithm = word2vec(cbow(**config.model), negative_sampling(counts, **config.noise), **options)
    train, test = held_out(text, words=config.held_out)
    chop = dict(batch=config.batch, steps=config.steps, epochs=config.epochs, seed=config.seed)
    embed = embedder(words, lambda key, state: state.table[: len(words)])
    sets = read_sets(config.word_sets) if config.word_sets else ()
    files = export(bin=to_binary, safetensors=to_safetensors)
    probes = {
        'words': Probe(
            config.every.evaluate,
            embedding_measure(embed, neighbours_and_scores(config.examples, *sets)),
            scores=True,
        ),
        'vectors': Probe(config.steps, embedding_measure(embed, capitals, files)),
    }
    return Experiment(algorithm, excerpts(train, **chop, test=test), probes, answers(embed))
