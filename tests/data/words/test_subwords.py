"""N-grams against a plain loop, the paper's example and gensim."""

import numpy as np
import pytest

from genjax.data.words.subwords import known_ngrams, ngrams, subwords

WORDS = ['where', 'a', 'ab', 'banana', 'naïve', '日本語', 'x' * 30, '😀a', 'where']


def plain_hash(text):
    """FNV-1a, but that a byte of 128 or more is a negative number first, as in the program."""
    value = 2166136261
    for byte in text.encode():
        signed = byte - 256 if byte >= 128 else byte
        value = ((value ^ (signed % 2**32)) * 16777619) % 2**32
    return value


def plain_ngrams(word, shortest, longest):
    marked = f'<{word}>'
    return [
        marked[i : i + n]
        for i in range(len(marked))
        for n in range(shortest, longest + 1)
        if i + n <= len(marked) and marked[i : i + n] not in ('<', '>')
    ]


@pytest.mark.parametrize(('shortest', 'longest'), [(3, 6), (1, 2), (2, 2), (40, 50), (4, 3)])
def test_ngrams_are_those_of_a_plain_loop(shortest, longest):
    found = ngrams(WORDS, shortest=shortest, longest=longest)
    texts = [plain_ngrams(word, shortest, longest) for word in WORDS]
    expected = [(i, plain_hash(text)) for i, word in enumerate(texts) for text in word]
    assert list(zip(found.words.tolist(), found.hashes.tolist(), strict=True)) == expected
    assert len(expected) > 0 or (shortest, longest) in ((40, 50), (4, 3))


def test_the_papers_word_and_the_published_hash():
    found = ngrams(['where'], shortest=3, longest=3).hashes
    expected = [plain_hash(text) for text in ('<wh', 'whe', 'her', 'ere', 're>')]
    assert found.tolist() == expected
    # FNV-1a of ASCII, as its authors list it: 'foobar' is 0xbf9cf968
    assert ngrams(['foobar'], shortest=6, longest=6).hashes[1] == 0xBF9CF968


def test_a_word_has_its_own_number_first_and_ngrams_share_theirs():
    found = subwords(['where', 'here', 'x'], shortest=3, longest=3, buckets=2_000_000)
    where, here, x = np.split(found.numbers, np.cumsum(found.counts)[:-1])
    assert (where[0], here[0], x[0]) == (0, 1, 2)
    assert found.counts.tolist() == [6, 5, 2]
    assert len(set(where[1:]) & set(here[1:])) == 3  # her, ere, re>
    assert sorted(set(found.numbers)) == list(range(3 + len(found.used)))


def test_few_buckets_are_shared_and_no_ngrams_leave_words_alone():
    few = subwords(WORDS, shortest=3, longest=6, buckets=7)
    hashes = ngrams(WORDS, shortest=3, longest=6).hashes
    own = np.cumsum(few.counts) - few.counts
    np.testing.assert_array_equal(few.used, np.arange(7))
    np.testing.assert_array_equal(np.delete(few.numbers, own), len(WORDS) + hashes % 7)
    alone = subwords(WORDS, shortest=3, longest=0, buckets=7)
    np.testing.assert_array_equal(alone.numbers, np.arange(len(WORDS)))
    assert not len(alone.used) and (alone.counts == 1).all()


def test_an_unseen_word_has_those_of_its_ngrams_that_are_known():
    found = subwords(['where', 'here'], shortest=3, longest=3, buckets=2_000_000)
    where = found.numbers[:6]
    np.testing.assert_array_equal(known_ngrams('there', found), where[[3, 4, 5]])
    np.testing.assert_array_equal(known_ngrams('where', found), where[1:])
    assert not len(known_ngrams('zzz', found))


@pytest.mark.parametrize(
    ('options', 'line'),
    [
        (dict(shortest=0, longest=3, buckets=9), 'n-grams of 0 to 3 characters'),
        (dict(shortest=1, longest=-1, buckets=9), 'n-grams of 1 to -1 characters'),
        (dict(shortest=1, longest=3, buckets=0), 'buckets is 0; it takes 1 to 2147483647'),
    ],
)
def test_numbers_out_of_range_are_refused(options, line):
    with pytest.raises(ValueError, match=line):
        subwords(['a'], **options)


@pytest.mark.peers
@pytest.mark.parametrize(('shortest', 'longest'), [(3, 6), (1, 4), (2, 3)])
def test_ngrams_and_hashes_are_gensims(shortest, longest):
    fasttext = pytest.importorskip('gensim.models.fasttext')
    letters = np.array(list('abcdefgé日😀'))
    draw = np.random.default_rng(0)
    words = [''.join(draw.choice(letters, n)) for n in draw.integers(1, 25, 500)]
    for buckets in (2_000_000, 1000):
        found = subwords(words, shortest=shortest, longest=longest, buckets=buckets)
        own = np.cumsum(found.counts) - found.counts
        ours = found.used[np.delete(found.numbers, own) - len(words)]
        theirs = [fasttext.ft_ngram_hashes(word, shortest, longest, buckets) for word in words]
        assert ours.tolist() == [bucket for word in theirs for bucket in word]
        assert found.counts.tolist() == [1 + len(word) for word in theirs]
    if (
        shortest > 1
    ):  # gensim lists < and > alone among the texts, and leaves them out of the hashes
        for word, hashes in zip(words, theirs, strict=True):
            texts = fasttext.compute_ngrams(word, shortest, longest)
            assert sorted(plain_hash(text) % buckets for text in texts) == sorted(hashes)
