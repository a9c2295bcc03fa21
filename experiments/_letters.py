"""What the pages of letters share: the text, its held-out part, and answers to questions.

All pages that name the same corpus score the same held-out excerpts, each by itself, so that their
bits a character stand beside each other. The letters are the 27 of text8: a to z, and a space
between words and sentences.

Letters: n answers, L places.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from genjax.base import Data
from genjax.data.text import Corpus, hold_out, joined, letters, read_corpus
from genjax.data.text.excerpts import random_excerpts
from genjax.networks.transformer import Transformer
from genjax.probes.texts import as_texts

SPACE = ' '
HIDDEN = '_'
ANSWERS = 8  # to a question


class Letters(NamedTuple):
    """A text in letters; `test` is of whole excerpts."""

    names: tuple[str, ...]
    train: Corpus
    test: Corpus


def read_letters(corpus: str, *, held_out: int, length: int) -> Letters:
    """Reads a text, and holds out sentences, cut to whole excerpts of `length`."""
    text = read_corpus(corpus, min_count=1, tokenize=letters)
    train, test = (joined(part, SPACE) for part in hold_out(text, words=held_out))
    return Letters(text.vocabulary.words, train, whole_excerpts(test, length))


def whole_excerpts(corpus: Corpus, length: int) -> Corpus:
    """The corpus without what is left over at its end.

    Raises:
      ValueError: it is shorter than one excerpt.
    """
    whole = len(corpus.ids) // length * length
    if not whole:
        raise ValueError(
            f'length is {length}; the held-out text has {len(corpus.ids)} letters, of which at '
            'least one excerpt is needed'
        )
    return corpus._replace(ids=corpus.ids[:whole])


def letters_data(config: ConfigDict, text: Letters) -> Data:
    """Batches of excerpts that begin anywhere."""
    return random_excerpts(
        text.train, batch=config.batch, length=config.length, seed=config.seed, test=text.test
    )


def transformer(config: ConfigDict, names: tuple[str, ...]) -> Transformer:
    """The network of the config."""
    return Transformer(len(names), **config.network)


def optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """Adam whose rate rises over the first tenth of the steps and falls to nought, and clipping."""
    rate = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, max(1, config.steps // 10), config.steps
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate, b2=0.95))


def infillings(fill, names: tuple[str, ...], length: int):
    """Answers 'the c__ sat' with texts in which a letter stands for each _.

    The question stands in the middle of an excerpt whose other letters are hidden too, and of each
    of which one is drawn.

    Args:
      fill: (key, state, words int32 [n, L], -1 where to fill in) -> words.
      names: the letters.
      length: L.
    """
    fill = jax.jit(fill)

    def answer(key, state, question):
        ids = ids_of(question, names, length, hidden=True)
        first = (length - len(ids)) // 2
        words = np.full(length, -1, np.int32)
        words[first : first + len(ids)] = ids
        found = np.asarray(fill(key, state, jnp.asarray([words] * ANSWERS)))
        texts = as_texts(found[:, first : first + len(ids)], names)
        return {'infillings': [{'text': text} for text in texts]}

    return answer


def continuations(go_on, evaluate, names: tuple[str, ...], length: int):
    """Answers the beginning of a text with its bits a character and texts that go on from it.

    Args:
      go_on: (key, state, words int32 [n, L], -1 after the beginning) -> words.
      evaluate: of the algorithm.
      names: the letters.
      length: L.
    """
    go_on = jax.jit(go_on)

    def answer(key, state, question):
        ids = ids_of(question, names, length, hidden=False)
        words = np.full(length, -1, np.int32)
        words[: len(ids)] = ids
        loss = evaluate(key, state, {'words': jnp.asarray(words[None])})['loss'][0]
        texts = as_texts(go_on(key, state, jnp.asarray([words] * ANSWERS)), names)
        return {
            'bits_per_character': float(loss) / np.log(2),
            'texts': [{'text': text} for text in texts],
        }

    return answer


def ids_of(question: str, names: tuple[str, ...], length: int, *, hidden: bool) -> np.ndarray:
    """The letters of a question, int32; -1 for _ where letters may be hidden.

    Raises:
      ValueError: it has another character, nothing hidden where something has to be, or no letter
        or more than an excerpt has.
    """
    index = {name: i for i, name in enumerate(names)}
    if hidden:
        index[HIDDEN] = -1
        if HIDDEN not in question:
            raise ValueError(
                f'--query is {question!r}; it needs a {HIDDEN} for each letter to find'
            )
    text = ' '.join(question.lower().split())
    unknown = sorted(set(text) - set(index))
    if unknown:
        raise ValueError(f'--query is {question!r}; {unknown[0]!r} is no letter of this text')
    if not 1 <= len(text) <= length:
        raise ValueError(f'--query has {len(text)} letters; 1 to {length} are possible')
    return np.array([index[letter] for letter in text], np.int32)
