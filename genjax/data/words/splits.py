"""Pairs of words divided into parts to train and test on, and negatives beside the hypernyms."""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache

from genjax.data.words.hypernyms import Pair

CACHED = 10_000  # words whose part or ancestors are kept in memory


def lexical_split(
    pairs: Iterable[Pair], *, seed: int, fractions: Sequence[float]
) -> tuple[list[Pair], ...]:
    """Divides pairs into parts that have no word in common.

    So no part can profit from words of another. A supervised model otherwise learns which words are
    hypernyms of many, whatever the other word (Levy et al. 2015, "Do Supervised Distributional
    Methods Really Learn Lexical Inference Relations?"). A word's part is a hash of seed and word,
    so it is the same in every set of pairs: a model that was fitted to one part of WordNet may be
    tested on another part of BLESS. A pair whose words lie in two parts is dropped: of a part with
    a fraction f of the words about f squared of the pairs is left.

    Args:
      pairs: of any relation.
      seed: of the hash.
      fractions: of the words in each part.

    Raises:
      ValueError: fractions are not positive with sum 1.
    """
    return _split(pairs, _both_words, seed, fractions)


def hyponym_split(
    pairs: Iterable[Pair], *, seed: int, fractions: Sequence[float]
) -> tuple[list[Pair], ...]:
    """Divides pairs by their first word alone: hyponyms are new in every part, hypernyms are not.

    Scores on it, beside those on a lexical split, show how much of them is memory of hypernyms.
    Arguments and errors are those of lexical_split; no pair is dropped.
    """
    return _split(pairs, _first_word, seed, fractions)


def _both_words(x: str, y: str) -> tuple[str, ...]:
    return x, y


def _first_word(x: str, y: str) -> tuple[str, ...]:
    del y
    return (x,)


def _split(pairs, words_of, seed, fractions):
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f'fractions are {tuple(fractions)}; they must be positive with sum 1')
    ends = list(itertools.accumulate(fractions))[:-1]

    @lru_cache(CACHED)
    def part_of(word):
        share = _hash(seed, word) / 2**64
        return sum(share >= end for end in ends)

    parts = tuple([] for _ in fractions)
    for x, y, relation in pairs:
        part, *others = {part_of(word) for word in words_of(x, y)}
        if not others:
            parts[part].append((x, y, relation))
    return parts


def with_negatives(
    pairs: Sequence[Pair], *, ancestors: Callable[[str], Collection[str]], seed: int
) -> list[Pair]:
    """Hypernym pairs, and four negatives for each, of words of the same pairs.

    About a fifth are positive. For a pair (x, y) the negatives are
      reverse: (y, x);
      coord: x and another hyponym of y;
      swap: x and the hypernym in another pair, so that knowing what hypernyms are like does not
        help;
      random: x and any word.
    Fu et al. 2014 judge the pairs of words in a hierarchy, most of them reversed or unrelated,
    siblings among these. No negative has one word twice or for its second word an ancestor of the
    first: another is drawn, and where there is none, or the pair is there already, it is left out.

    Args:
      pairs: hypernym pairs of one part of a split.
      ancestors: word -> all its hypernyms.
      seed: of the draws.
    """
    ancestors = lru_cache(CACHED)(ancestors)
    hyponyms = defaultdict(list)
    for x, y, _ in pairs:
        hyponyms[y].append(x)
    hypernyms = [y for _, y, _ in pairs]
    words = sorted({word for pair in pairs for word in pair[:2]})

    relations = {(x, y): relation for x, y, relation in pairs}
    for x, y, _ in pairs:
        if x not in ancestors(y):
            relations.setdefault((y, x), 'reverse')
    for x, y, _ in pairs:
        for kind, among in (('coord', hyponyms[y]), ('swap', hypernyms), ('random', words)):
            z = _draw(among, {x} | ancestors(x), seed, kind, x, y)
            if z is not None:
                relations.setdefault((x, z), kind)
    return [(*pair, relation) for pair, relation in relations.items()]


def _draw(words: list[str], excluded: Collection[str], *salt: object) -> str | None:
    """The first word that is not excluded from a random place on, around the end."""
    start = _hash(*salt) % len(words)
    return next((word for word in words[start:] + words[:start] if word not in excluded), None)


def _hash(*values: object) -> int:
    """64 bits that depend on the values alone, on every machine."""
    digest = hashlib.blake2b('\t'.join(map(str, values)).encode(), digest_size=8).digest()
    return int.from_bytes(digest)
