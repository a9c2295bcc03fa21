"""Text as word ids: tokenizers, vocabularies and corpora.

Batches of a corpus for a training run are in `excerpts`, which imports jax; reading a text does
without.
"""

from genjax.data.text.corpus import SEPARATOR, Corpus, hold_out, joined, read_corpus
from genjax.data.text.docs import docstrings
from genjax.data.text.tokenizers import (
    TOKENIZERS,
    Tokenizer,
    characters,
    get_tokenizer,
    letters,
    tokens,
)
from genjax.data.text.vocabulary import Vocabulary, read_vocabulary, write_vocabulary

__all__ = [
    'SEPARATOR',
    'TOKENIZERS',
    'Corpus',
    'Tokenizer',
    'Vocabulary',
    'characters',
    'docstrings',
    'get_tokenizer',
    'hold_out',
    'joined',
    'letters',
    'read_corpus',
    'read_vocabulary',
    'tokens',
    'write_vocabulary',
]
