"""word2vec with the full softmax: each word's probability is over the whole vocabulary.

It is word2vec as it is first written down, on the docstrings of the packages that genjax requires,
and the words that occur in them twenty times or more.

Run     python -m launch --exp softmax_docs
Smoke   python -m launch --exp softmax_docs --config.corpus=README.md --config.steps=4
        --config.epochs=1 --config.batch=2 --config.held_out=60 --config.min_count=2
Small   python -m launch --exp softmax_docs --config.steps=50 --config.epochs=0.1
        --config.every.log=10 --config.every.evaluate=50
Source  Mikolov et al. 2013, arXiv:1310.4546, equations 1 and 2
Ours    two epochs in 265 s on one core of a busy machine (commit 97d8fb8): test loss 6.722 nats;
        neighbours of rows: columns, cols, clusters; of float32: float64, initializers, complex128
"""

from ml_collections import ConfigDict

from experiments._word2vec import word2vec_experiment
from genjax.algorithms.word2vec import full_softmax, skip_gram
from genjax.data.text import read_corpus


def get_config():
    config = dict(
        seed=0,
        steps=1000,
        epochs=2.0,
        # Excerpts of the text that are read side by side: each would gather the whole vocabulary
        batch=1,
        corpus='docs',
        min_count=20,
        held_out=20_000,  # words
        word_sets='',  # folder of similarity sets and analogies; '' for none
        model=dict(window=5, block=256),
        sample=1e-3,  # of subsampling; 0 for none
        dimension=100,
        rate=(0.025, 1e-4),  # at the start and at the end
        bound=0.3,  # of a row's step: consecutive words repeat
        examples=(
            'array',
            'rows',
            'gradient',
            'float32',
            'random',
            'image',
            'classifier',
            'thread',
        ),
        every=dict(log=50, evaluate=500, save=500),
    )
    return ConfigDict(config)


def build(config):
    text = read_corpus(config.corpus, min_count=config.min_count)
    architecture = skip_gram(**config.model)
    output = full_softmax(len(text.vocabulary.words))
    return word2vec_experiment(config, text, architecture, output)
