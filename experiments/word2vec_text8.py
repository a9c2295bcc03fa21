"""word2vec on text8, the first 100 MB of the English Wikipedia of 2006, by skip-gram.

text8 is read from --data_dir, or fetched there once (31 MB). Predictions are trained by negative
sampling.

Run     python -m launch --exp word2vec_text8 --config.word_sets=words
Smoke   python -m launch --exp word2vec_text8 --config.corpus=README.md --config.steps=4
        --config.epochs=1 --config.batch=2 --config.held_out=60
Source  Mikolov et al. 2013, arXiv:1310.4546; text8: mattmahoney.net/dc/textdata
Ours    not run: text8 was out of reach
"""

from ml_collections import ConfigDict

from experiments._word2vec import SPLIT_TABLES, word2vec_experiment
from genjax.algorithms.word2vec import negative_sampling, skip_gram
from genjax.data.text import read_corpus
from genjax.probes.words import capitals

RULES = SPLIT_TABLES


def get_config():
    config = dict(
        seed=0,
        steps=2000,
        epochs=5.0,
        batch=8,  # excerpts of the text that are read side by side
        corpus='text8',
        data_dir='',  # where text8 lies, or is put
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
    text = read_corpus(
        config.corpus,
        min_count=config.min_count,
        max_size=config.max_size,
        data_dir=config.data_dir,
    )
    architecture = skip_gram(**config.model)
    output = negative_sampling(text.vocabulary.counts, **config.noise)
    return word2vec_experiment(config, text, architecture, output, figures=[capitals])
