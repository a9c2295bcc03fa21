"""word2vec on the docstrings of the packages that genjax requires: words of technical English, on
every installation.

Run     make run EXP=word2vec_docs
Smoke   python -m launch --exp word2vec_docs --config.corpus=README.md --config.steps=4 --config.epochs=1
        --config.batch=2 --config.held_out=60
Small   python -m launch --exp word2vec_docs --config.steps=300 --config.epochs=3
Source  Mikolov et al. 2013, arXiv:1310.4546
Ours    20 epochs of 1.6 million words, 2 min in all on a busy machine of 2 cores (commit 28fac29): test loss 2.253;
        neighbours of png: svg, bmp, img, pgf, jpeg, gif; of clustering: agglomerative,
          hierarchical, hdbscan
"""

from ml_collections import ConfigDict

from genjax.algorithms.word2vec.outputs import negative_sampling
from genjax.algorithms.word2vec.windows import skip_gram
from genjax.algorithms.word2vec.word2vec import added, bounded, falling, kept_share, word2vec
from genjax.data.text.corpus import held_out, read_corpus
from genjax.data.text.excerpts import excerpts
from genjax.data.words.sets import read_sets
from genjax.data.words.vectors import to_binary, to_safetensors
from genjax.probes.words import answers, embedder, embedding_measure, export, neighbours_and_scores
from genjax.training.train import Experiment, Probe


def get_config():
    config = dict(
        seed=0,
        steps=2000,
        epochs=20.0,
        batch=8,  # excerpts of the text that are read side by side
        corpus='docs',
        min_count=5,
        held_out=20_000,  # words
        word_sets='',  # folder of similarity sets and analogies; '' for none
        model=dict(window=5, block=64),
        noise=dict(negatives=5, shared=32),
        sample=1e-3,  # of subsampling; 0 for none
        dimension=100,
        rate=(0.025, 1e-4),  # at the start and at the end
        # Of a row's step, for large batches; None shortens those alone that would diverge
        bound=None,
        examples=('array', 'rows', 'gradient', 'float32', 'random', 'png', 'clustering', 'thread'),
        every=dict(log=50, evaluate=500, save=500),
    )
    return ConfigDict(config)


def build(config):
    text = read_corpus(config.corpus, min_count=config.min_count)
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
    algorithm = word2vec(
        skip_gram(**config.model), negative_sampling(counts, **config.noise), **options
    )
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
        'vectors': Probe(config.steps, embedding_measure(embed, files)),
    }
    return Experiment(algorithm, excerpts(train, **chop, test=test), probes, answers(embed))
