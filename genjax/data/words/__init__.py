"""Words and what is known of them: test sets, and pairs with relations.

Files of word vectors are in `vectors`, which imports jax.
"""

from genjax.data.words.hypernyms import HYPER, Link, ancestors, read_bless, read_wordnet
from genjax.data.words.sets import WordSets, read_analogies, read_sets, read_similarity, union
from genjax.data.words.splits import hyponym_split, lexical_split, with_negatives

__all__ = [
    'HYPER',
    'Link',
    'WordSets',
    'ancestors',
    'hyponym_split',
    'lexical_split',
    'read_analogies',
    'read_bless',
    'read_sets',
    'read_similarity',
    'read_wordnet',
    'union',
    'with_negatives',
]
