"""Words and what is known of them: test sets, and pairs with relations.

Files of word vectors are in `vectors`, which imports jax.
"""

from genjax.data.words.hypernyms import HYPER, Link, ancestors, read_bless, read_wordnet
from genjax.data.words.sets import WordSets, read_analogies, read_sets, read_similarity, union
from genjax.data.words.splits import hyponym_split, lexical_split, with_negatives
from genjax.data.words.subwords import Subwords, known_ngrams, subwords

__all__ = [
    'HYPER',
    'Link',
    'Subwords',
    'WordSets',
    'ancestors',
    'hyponym_split',
    'known_ngrams',
    'lexical_split',
    'read_analogies',
    'read_bless',
    'read_sets',
    'read_similarity',
    'read_wordnet',
    'subwords',
    'union',
    'with_negatives',
]
