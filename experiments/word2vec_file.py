"""word2vec on any text file: skip-gram with negative sampling, with gensim's default settings.

A file has one sentence or paragraph a line, plain or .gz or .xz. A run is `epochs` passes through
it, cut into `steps`.

Run     python -m launch --exp word2vec_file --config.corpus=corpus.txt.xz --config.word_sets=words
Smoke   python -m launch --exp word2vec_file --config.corpus=README.md --config.steps=4
        --config.epochs=1 --config.batch=2 --config.held_out=60
Source  Mikolov et al. 2013, arXiv:1310.4546
Ours    21 million words of Wikipedia, 5 epochs in 75 s, 2 min in all (commit 9a9d736, one core):
        MEN 0.633, WordSim-353 0.673, SimLex-999 0.300, Google analogies 39.8 % among the first
        30,000 words; test loss 2.239
Large   --config.batch=64 --config.bound=0.3 --config.rate=(0.05,1e-4) --config.steps=500, on an
        accelerator
"""

from ml_collections import ConfigDict

from experiments._word2vec import SPLIT_TABLES, word2vec_experiment
from genjax.algorithms.word2vec import negative_sampling, skip_gram
from genjax.data.text import get_tokenizer, read_corpus
from genjax.probes.words import capitals

RULES = SPLIT_TABLES


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
    text = read_corpus(
        config.corpus,
        min_count=config.min_count,
        max_size=config.max_size,
        tokenize=get_tokenizer(config.tokenizer).split,
    )
    architecture = skip_gram(**config.model)
    output = negative_sampling(text.vocabulary.counts, **config.noise)
    return word2vec_experiment(config, text, architecture, output, figures=[capitals])
