"""word2vec on the docstrings of the packages that genjax requires: words of technical English.

Every installation has this text.

Run     make run EXP=word2vec_docs
Smoke   python -m launch --exp word2vec_docs --config.corpus=README.md --config.steps=4
        --config.epochs=1 --config.batch=2 --config.held_out=60
Small   python -m launch --exp word2vec_docs --config.steps=300 --config.epochs=3
Source  Mikolov et al. 2013, arXiv:1310.4546
Ours    20 epochs of 1.6 million words, 2 min in all on a busy machine of 2 cores (commit 28fac29):
        test loss 2.253; neighbours of png: svg, bmp, img, pgf, jpeg, gif; of clustering:
        agglomerative, hierarchical, hdbscan
"""

from ml_collections import ConfigDict

from experiments._word2vec import word2vec_experiment
from genjax.algorithms.word2vec import negative_sampling, skip_gram
from genjax.data.text import read_corpus


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
    architecture = skip_gram(**config.model)
    output = negative_sampling(text.vocabulary.counts, **config.noise)
    return word2vec_experiment(config, text, architecture, output)
