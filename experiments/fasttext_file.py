"""fastText on any text file: skip-gram whose words share the vectors of their character n-grams.

A word's vector is the mean of one of its own and those of its n-grams, so that rare words learn
from others that are spelt alike, and words that the text lacks have vectors too: `--query` takes
any.
With `--config.subwords.longest=0` this is `word2vec_file`, to the bit.

Run     python -m launch --exp fasttext_file --config.corpus=corpus.txt.xz --config.word_sets=words
Smoke   python -m launch --exp fasttext_file --config.corpus=README.md --config.steps=4
        --config.epochs=1 --config.batch=2 --config.held_out=60
Small   python -m launch --exp fasttext_file --config.corpus=docs --config.steps=100
        --config.epochs=1
Source  Bojanowski et al. 2017, arXiv:1607.04606
Ours    21 million words of Wikipedia, 3 epochs in 5 min (commit c847112, one core): MEN 0.618,
        WordSim-353 0.630, SimLex-999 0.282, Google analogies 52.3 %; gensim's FastText has 0.594,
        0.611, 0.281, 48.6 % in 13 min
Large   --config.batch=64 --config.bound=0.3 --config.rate=(0.05,1e-4) --config.steps=500
        --config.chunk=1000000, on an accelerator
"""

from ml_collections import ConfigDict

from experiments._word2vec import word2vec_experiment
from genjax.algorithms.word2vec import negative_sampling, skip_gram
from genjax.data.text import get_tokenizer, read_corpus
from genjax.data.words import subwords
from genjax.probes.words import capitals


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
        subwords=dict(shortest=3, longest=6, buckets=2_000_000),  # characters; longest 0 for none
        chunk=2048,  # sub-words at a time; on accelerators as many as a block has
        model=dict(window=5, block=64),
        noise=dict(negatives=5, shared=32),
        sample=1e-3,  # of subsampling; 0 for none
        dimension=100,
        rate=(0.025, 1e-4),  # at the start and at the end
        # Of a row's step, for large batches; None shortens those alone that would diverge
        bound=None,
        examples=('king', 'paris', 'river', 'music', 'monday', 'quickly', 'better', 'three'),
        unseen=('kingship', 'parisians', 'musicalness', 'untrainable', 'neurobiologically'),
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
    return word2vec_experiment(
        config,
        text,
        architecture,
        output,
        figures=[capitals],
        subwords=subwords(text.vocabulary.words, **config.subwords),
    )
