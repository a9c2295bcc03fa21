"""An n-gram language model of a text file: Kneser-Ney by one pass, perplexity and sentences.

Run     python -m launch --exp ngram_file --config.corpus=corpus.txt.xz
        and then, with --mode evaluate --query 'the king of france', the probability of a sentence
Smoke   python -m launch --exp ngram_file --config.corpus=README.md --config.steps=4
        --config.held_out=60 --config.batch=4
Small   python -m launch --exp ngram_file --config.corpus=docs
Source  Kneser and Ney 1995; Chen and Goodman 1999
Ours    21 million words of Wikipedia, 50,000 different ones, order 3: 136 s in all, 1.7 GiB (commit
        bfddffe, one core): perplexity 245.7 on 20,000 words held out
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from genjax.algorithms.ngram import kneser_ney, margin, ngram, perplexity
from genjax.base import Batch, Key, Metrics, State
from genjax.data.text import Tokenizer, get_tokenizer, hold_out, read_corpus
from genjax.data.text.excerpts import passage
from genjax.training import Experiment, Probe


def get_config():
    config = dict(
        seed=0,
        steps=20,  # in which the text is read once
        batch=1024,
        corpus='',
        tokenizer='words',  # or 'characters', or 'spaces' for words that spaces part already
        max_size=50_000,  # words, one of them for all others
        unknown='<unk>',
        held_out=20_000,  # words
        order=3,
        capacity=(5_000_000, 14_000_000),  # different 2-grams, 3-grams, ... at the most
        discount=0.9,
        every=dict(log=1, evaluate=20, save=20),
    )
    return ConfigDict(config)


def build(config):
    tokenizer = get_tokenizer(config.tokenizer)
    text = read_corpus(
        config.corpus,
        min_count=1,
        max_size=config.max_size,
        unknown=config.unknown,
        tokenize=tokenizer.split,
    )
    words = text.vocabulary.words
    train, test = hold_out(text, words=config.held_out)

    # No more m-grams than events of the text, nor 1-grams than outcomes.
    capacity = [len(words) + 1, *(min(rows, len(train.ids)) for rows in config.capacity)]
    algorithm = ngram(
        len(words), order=config.order, capacity=capacity, smoothing=kneser_ney(config.discount)
    )
    data = passage(
        train, batch=config.batch, steps=config.steps, overlap=margin(config.order), test=test
    )
    probes = {
        'test': Probe(config.steps, perplexity(algorithm.evaluate, data.test), scores=True),
        'samples': Probe(config.steps, sentence_table(algorithm.sample, words, tokenizer, n=20)),
    }
    answer = probability(algorithm.evaluate, words, tokenizer, config.unknown, config.order)
    return Experiment(algorithm, data, probes, answer)


def sentence_table(
    sample: Callable[[Key, State, int], jax.Array],
    words: Sequence[str],
    tokenizer: Tokenizer,
    *,
    n: int,
) -> Callable[[Key, State], dict[str, Any]]:
    """A probe of n sentences as a table."""
    draw = jax.jit(sample, static_argnums=2)

    def measure(key, state):
        rows = np.asarray(draw(key, state, n))
        sentences = [tokenizer.join(words[i] for i in row if i >= 0) for row in rows]
        return {'sentences': [{'sentence': sentence} for sentence in sentences]}

    return measure


def probability(
    evaluate: Callable[[Key, State, Batch], Metrics],
    words: Sequence[str],
    tokenizer: Tokenizer,
    unknown: str,
    order: int,
) -> Callable[[Key, State, str], dict[str, Any]]:
    """Answers a sentence with its probability, by the chain rule, and its perplexity."""
    index = {word: i for i, word in enumerate(words)}

    def answer(key, state, sentence):
        ids = [index.get(word, index[unknown]) for word in tokenizer.split(sentence)]
        padded = np.pad(np.array(ids, np.int32), (margin(order), 1), constant_values=-1)
        metrics = evaluate(key, state, {'words': padded[None]})
        return {
            'log10 probability': -float(metrics['nats'][0]) / np.log(10),
            'perplexity': np.exp(float(metrics['loss'][0])),
            'read': tokenizer.join(words[i] for i in ids),
        }

    return answer
