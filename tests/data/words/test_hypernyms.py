"""Pairs of words that are or are not in the relation of hypernymy: readers, negatives, splits."""

import numpy as np
import pytest

from genjax.data.words import (
    HYPER,
    Link,
    ancestors,
    hyponym_split,
    lexical_split,
    read_bless,
    read_wordnet,
    with_negatives,
)

LINKS = [
    Link('dog', 'canine', 1, 1),
    Link('dog', 'chap', 2, 1),
    Link('canine', 'animal', 1, 2),
    Link('canine', 'tooth', 2, 1),
    Link('chap', 'human', 1, 1),
    Link('human', 'chap', 2, 1),
    Link('animal', 'thing', 1, 1),
    Link('thing', 'animal', 1, 1),
]


def test_ancestors_are_of_every_sense_of_a_word_and_the_first_of_those_above():
    above = ancestors(LINKS)
    assert above('dog') == {'canine', 'chap', 'animal', 'human', 'thing'}
    assert above('thing') == {'animal', 'thing'}
    assert above('tooth') == set()


def tree(n=200):
    """A planted hierarchy: word i lies under word i // 4."""
    return [Link(f'w{i}', f'w{i // 4}', 1, 1) for i in range(1, n)]


def test_negatives_are_what_their_relations_say():
    links = tree()
    pairs = [(link.lemma, link.hypernym, HYPER) for link in links]
    known, above = {(x, y) for x, y, _ in pairs}, ancestors(links)
    result = with_negatives(pairs, ancestors=above, seed=0)
    assert result == with_negatives(pairs, ancestors=above, seed=0)
    assert result != with_negatives(pairs, ancestors=above, seed=1)
    assert result[: len(pairs)] == pairs and len({(x, y) for x, y, _ in result}) == len(result)
    by_kind = {
        kind: {(x, y) for x, y, relation in result if relation == kind} for _, _, kind in result
    }
    assert set(by_kind) == {HYPER, 'reverse', 'coord', 'swap', 'random'}
    assert by_kind['reverse'] == {(y, x) for x, y in known}
    parent = dict(known)
    assert all(parent[x] == parent[y] and x != y for x, y in by_kind['coord'])
    assert all(y in parent.values() for _, y in by_kind['swap'])
    for kind in ('coord', 'swap', 'random'):
        assert not any(y in above(x) or x == y for x, y in by_kind[kind])
        assert len(by_kind[kind]) > 0.8 * len(pairs)


@pytest.mark.parametrize('seed', [0, 1])
def test_a_lexical_split_has_no_word_on_two_sides(seed):
    draw = np.random.default_rng(seed)
    pairs = [(f'w{i}', f'w{j}', HYPER) for i, j in draw.integers(500, size=(20_000, 2))]
    fractions = (0.5, 0.2, 0.3)
    parts = lexical_split(pairs, seed=seed, fractions=fractions)
    words = [{word for pair in part for word in pair[:2]} for part in parts]
    assert not words[0] & words[1] and not words[0] & words[2] and not words[1] & words[2]
    for part, own, fraction in zip(parts, words, fractions, strict=True):
        assert len(own) / 500 == pytest.approx(fraction, abs=0.07)  # three standard deviations
        assert part == [pair for pair in pairs if {pair[0], pair[1]} <= own]


def test_a_hyponym_split_keeps_every_pair_and_no_hyponym_on_two_sides():
    pairs = [(f'w{i}', f'w{j}', HYPER) for i in range(100) for j in range(5)]
    parts = hyponym_split(pairs, seed=0, fractions=(0.6, 0.4))
    assert sorted(parts[0] + parts[1]) == sorted(pairs)
    assert not {x for x, _, _ in parts[0]} & {x for x, _, _ in parts[1]}
    assert {y for _, y, _ in parts[0]} == {y for _, y, _ in parts[1]}


def test_a_words_part_depends_on_the_word_and_the_seed_alone():
    pairs = [(f'w{i}', f'w{i}', HYPER) for i in range(100)]

    def split(pairs, seed):
        return lexical_split(pairs, seed=seed, fractions=(0.5, 0.5))

    few = split(pairs[:10], 0)
    assert [pair for pair in split(pairs, 0)[0] if pair in pairs[:10]] == few[0]
    assert split(pairs, 1) != split(pairs, 0)
    assert [x for x, _, _ in few[0]] == ['w2', 'w3', 'w4', 'w6', 'w7']  # on every machine


@pytest.mark.parametrize('fractions', [(0.5, 0.6), (1.2, -0.2), (1.0, 0.0)])
def test_fractions_that_are_none_are_refused(fractions):
    with pytest.raises(ValueError, match='fractions are .*; they must be positive with sum 1'):
        lexical_split([], seed=0, fractions=fractions)


def test_readers(tmp_path):
    wordnet = tmp_path / 'wordnet.tsv'
    pairs = tmp_path / 'pairs.tsv'
    relations = tmp_path / 'relations.tsv'
    wordnet.write_text('lemma\thypernym\tsense\tsteps\naa\tlava\t1\t2\n')
    assert read_wordnet(wordnet) == [Link('aa', 'lava', 1, 2)]
    rows = 'bus\tvehicle\t1\tval\nbus\tcar\t0\tval\nbus\tbox\t0\ttest\nbus\tthing\t0\ttest\n'
    pairs.write_text('word1\tword2\tlabel\tfold\n' + 2 * rows)
    relations.write_text(
        'concept\trelatum\trelation\nbus\tvehicle\thyper\nbus\tcar\tcoord\nbus\tthing\thyper\n'
    )
    assert read_bless(pairs, relations) == [
        ('bus', 'vehicle', HYPER),
        ('bus', 'car', 'coord'),
        ('bus', 'box', 'other'),
        ('bus', 'thing', 'other'),
    ]
    with pytest.raises(
        ValueError, match='pairs.tsv has no column lemma; it needs lemma, hypernym, sense, steps'
    ):
        read_wordnet(pairs)
    wordnet.write_text('lemma\thypernym\tsense\tsteps\naa\tlava\t1\t2\na\tletter\n')
    with pytest.raises(ValueError, match='wordnet.tsv has a line 3 of too few columns'):
        read_wordnet(wordnet)
    with pytest.raises(FileNotFoundError, match='absent'):
        read_wordnet(tmp_path / 'absent')


def test_the_shared_sets_are_what_they_are_said_to_be(real_data):
    links = read_wordnet(real_data / 'text' / 'wordnet_hypernyms.tsv')
    assert len(links) == 120_800 and len({link.lemma for link in links}) == 41_482
    assert sum(link.steps == 1 for link in links) == 103_562
    words = real_data / 'words'
    bless = read_bless(words / 'bless_hypernymy.tsv', words / 'bless_relations.tsv')
    assert len(bless) == 14_542 - 9
    assert sum(relation == HYPER for *_, relation in bless) == pytest.approx(1_337, abs=9)
    above = ancestors(links)
    assert {'animal', 'organism', 'entity'} <= above('dog') and 'dog' not in above('animal')
