"""Reading a text, against a plain definition that keeps all of it in memory; what is refused; where texts come from."""

import gzip
import hashlib
import io
import lzma
import sys
import tracemalloc
import zipfile
from collections import Counter

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

from genjax.data import sources
from genjax.data.docs import docstrings
from genjax.data.text import SEPARATOR, Vocabulary, held_out, read_corpus, read_vocabulary, tokens, write_vocabulary

LECTURE = ['I like deep learning.', 'I like NLP.', 'I enjoy flying.']


def sentences(corpus):
    """A corpus as lists of words."""
    assert corpus.ids.dtype == np.int32 and corpus.ids[-1] == SEPARATOR
    parts = np.split(corpus.ids, np.flatnonzero(corpus.ids == SEPARATOR) + 1)[:-1]
    return [[corpus.vocabulary.words[i] for i in part[:-1]] for part in parts]


def random_sentences(seed, n=300):
    """Words w0, w1, ... with frequencies by a power law, many of equal count, and a few empty sentences."""
    draw = np.random.default_rng(seed)
    return [' '.join(f'w{i}' for i in draw.zipf(1.4, draw.integers(0, 12)) if i < 500) for _ in range(n)]


# The tokeniser


@pytest.mark.parametrize(
    ('written', 'words'),
    [
        ("The king's men don't know: it's 1.5 or 2.6.18!", "the king 's men don't know it 's 1.5 or 2.6.18"),
        ('learning_rate, e-mail... A.B. (x86-64)', 'learning rate e mail a b x86 64'),
        ("the 'quoted' 's' and dogs' o’Brien’s l'École", "the quoted 's and dogs o'brien 's l'école"),
        ("podil's'ka 1.a a.1 .5 5. '' ' .", "podil's'ka 1 a a 1 5 5"),
        ("wiki/Simpson's_rule y'y's_w's", "wiki simpson 's rule y'y 's w 's"),
        ('Ελλάδα, ДОМ; naïve', 'ελλάδα дом naïve'),
        ('—  \t\n', ''),
    ],
)
def test_tokens(written, words):
    assert tokens(written) == words.split()
    assert tokens(words) == words.split()


def test_text_in_tokens_stays_as_it_is():
    for sentence in docstrings(['optax']):
        words = tokens(sentence)
        assert tokens(' '.join(words)) == words


def test_a_tokenised_corpus_reads_as_its_spaces_part_it(real_data):
    with lzma.open(real_data / 'text' / 'corpus.txt.xz', 'rt', encoding='utf-8') as file:
        for _, line in zip(range(20_000), file, strict=False):
            assert tokens(line) == line.split()


# Reading


def test_the_lecture_s_corpus():
    corpus = read_corpus(LECTURE, min_count=1)
    assert corpus.vocabulary.words == ('i', 'like', 'deep', 'enjoy', 'flying', 'learning', 'nlp')
    assert corpus.vocabulary.counts.tolist() == [3, 2, 1, 1, 1, 1, 1]
    assert corpus.ids.tolist() == [0, 1, 2, 5, -1, 0, 1, 6, -1, 0, 3, 4, -1]


@pytest.mark.parametrize('unknown', [None, 'w3', '<other>'])
@pytest.mark.parametrize('max_size', [None, 2, 30])
@pytest.mark.parametrize('min_count', [1, 5])
def test_reading_equals_its_definition(min_count, max_size, unknown):
    lines = [line.split() for line in random_sentences(0)]
    counts = Counter(word for line in lines for word in line)
    kept = sorted((w for w in counts if counts[w] >= min_count and w != unknown), key=lambda w: (-counts[w], w))
    if unknown is not None:
        kept = kept if max_size is None else kept[: max_size - 1]
        lines = [[word if word in kept else unknown for word in line] for line in lines]
        counts = Counter(word for line in lines for word in line)
        kept = sorted([*kept, unknown], key=lambda w: (-counts[w], w))
    kept = kept[:max_size]
    lines = [[word for word in line if word in kept] for line in lines]

    corpus = read_corpus(
        random_sentences(0), min_count=min_count, max_size=max_size, unknown=unknown, tokenize=str.split
    )
    assert list(corpus.vocabulary.words) == kept
    assert corpus.vocabulary.counts.tolist() == [counts[word] for word in kept]
    assert corpus.vocabulary.counts.dtype == np.int64
    assert sentences(corpus) == [line for line in lines if line]


def test_ids_fall_in_frequency_and_count_what_the_corpus_holds():
    corpus = read_corpus(random_sentences(1))
    counts = np.bincount(corpus.ids[corpus.ids >= 0])
    np.testing.assert_array_equal(counts, corpus.vocabulary.counts)
    assert (np.diff(counts) <= 0).all()


def test_an_unknown_word_has_a_place_even_where_nothing_is_unknown():
    vocabulary = read_corpus(LECTURE, min_count=1, unknown='<unk>').vocabulary
    assert (vocabulary.words[-1], vocabulary.counts[-1]) == ('<unk>', 0)


@pytest.mark.parametrize('unknown', [None, 'like'])
def test_a_text_is_read_with_the_vocabulary_of_another(unknown):
    vocabulary = read_corpus(LECTURE, min_count=1).vocabulary
    corpus = read_corpus(['We like flying, I think', 'so do they'], vocabulary=vocabulary, unknown=unknown, min_count=9)
    assert corpus.vocabulary is vocabulary
    told = [['like', 'flying', 'i']]
    told_with_unknown = [['like', 'like', 'flying', 'i', 'like'], ['like', 'like', 'like']]
    assert sentences(corpus) == (told if unknown is None else told_with_unknown)


def test_fingerprint_tells_ids_and_words():
    corpora = [read_corpus(text, min_count=1) for text in (LECTURE, LECTURE[::-1], ['You like deep learning'])]
    corpora += [corpora[0]._replace(vocabulary=corpora[0].vocabulary._replace(words=tuple('abcdefg')))]
    assert len({corpus.fingerprint for corpus in corpora}) == 4
    assert read_corpus(LECTURE, min_count=1).fingerprint == corpora[0].fingerprint


# Files


def zipped(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('inside.txt', content)
    return file.getvalue()


@pytest.mark.parametrize(
    ('suffix', 'pack'), [('', bytes), ('.gz', gzip.compress), ('.xz', lzma.compress), ('.zip', zipped)]
)
@pytest.mark.parametrize('line_end', ['\n', '\r\n'])
def test_files_of_every_kind_hold_the_same_corpus(tmp_path, suffix, pack, line_end):
    lines = random_sentences(2)
    path = tmp_path / f'text{suffix}'
    path.write_bytes(pack(b'\xef\xbb\xbf' + line_end.join(lines).encode()))  # begins with a mark, ends without a break
    corpus = read_corpus(path, tokenize=str.split)
    assert corpus.fingerprint == read_corpus(lines).fingerprint == read_corpus(str(path)).fingerprint


@pytest.mark.parametrize('piece', [7, 100, 2**16])
def test_long_lines_are_cut_after_every_1000_words(tmp_path, monkeypatch, piece):
    """However the line is read: in pieces that end within a word, or within a letter of two bytes."""
    monkeypatch.setattr(sources, 'PIECE', piece)
    draw = np.random.default_rng(0)
    lengths = [3, 1000, 1001, 0, 999, 4321, 5]
    lines = [[f'é{i}' for i in draw.integers(0, 99, n)] for n in lengths]
    (tmp_path / 'x').write_text('\n'.join(map(' '.join, lines)), encoding='utf-8')
    read = sentences(read_corpus(tmp_path / 'x', min_count=1))
    assert [len(words) for words in read] == [3, 1000, 1000, 1, 999, 1000, 1000, 1000, 1000, 321, 5]
    assert sum(read, []) == sum(lines, [])


def test_memory_holds_ids_and_not_the_text(tmp_path):
    """A text of 10 MB in words of 100 letters: its ids take 0.4 MB."""
    draw = np.random.default_rng(0)
    words = [f'{i:02}' * 50 for i in range(100)]
    with gzip.open(tmp_path / 'x.gz', 'wt', 1) as file:
        for i in range(100):
            file.write(' '.join(words[j] for j in draw.integers(0, 100, 1000)) + '\n '[i % 2])
    tracemalloc.start()
    try:
        corpus = read_corpus(tmp_path / 'x.gz')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (corpus.ids >= 0).sum() == 100_000
    assert peak < 4e6


@pytest.mark.slow
def test_21_million_words(real_data):
    corpus = read_corpus(real_data / 'text' / 'corpus.txt.xz', min_count=1, tokenize=str.split)
    assert (corpus.ids >= 0).sum() == 20_956_503
    assert (corpus.ids == SEPARATOR).sum() == 911_744
    counts = corpus.vocabulary.counts
    assert [(counts >= n).sum() for n in (1, 5, 10, 20)] == [293_473, 84_444, 57_251, 39_468]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_read_shows_its_progress_on_a_terminal_only(monkeypatch, capsys):
    read_corpus(LECTURE, min_count=1)
    assert capsys.readouterr().err == ''
    monkeypatch.setattr(sys, 'stderr', Terminal())
    read_corpus(LECTURE, min_count=1)
    assert sys.stderr.getvalue().startswith('\r\x1b[Kreading  5 words') and sys.stderr.getvalue().endswith('words/s\n')


# Holding out


@pytest.mark.parametrize(('words', 'runs'), [(90, 1), (3000, 30), (20_000, 100)])
def test_held_out_sentences_are_whole_and_taken_from_everywhere(words, runs):
    corpus = read_corpus([f's{i} ' + 'w ' * (i % 9) for i in range(40_000)], min_count=1)
    train, test = held_out(corpus, words=words)
    assert train.vocabulary is test.vocabulary is corpus.vocabulary
    whole, left, out = sentences(corpus), sentences(train), sentences(test)
    taken = np.isin([sentence[0] for sentence in whole], [sentence[0] for sentence in out])
    assert [s for s, t in zip(whole, taken, strict=True) if t] == out
    assert [s for s, t in zip(whole, taken, strict=True) if not t] == left
    assert abs(sum(map(len, out)) - words) <= 9 * runs  # a run ends within a sentence
    begins = np.flatnonzero(np.diff(taken, prepend=False) & taken)
    np.testing.assert_allclose(begins, np.arange(runs) * 40_000 / runs, atol=9)


@pytest.mark.parametrize('words', [0, -1, 10, 1000])
def test_too_much_or_nothing_held_out_is_refused(words):
    with pytest.raises(
        ValueError, match=rf'^words to hold out are {words:,}; at least 1 of 10, and not every sentence$'
    ):
        held_out(read_corpus(LECTURE, min_count=1), words=words)


def test_the_smallest_corpus_is_parted():
    train, test = held_out(read_corpus(LECTURE, min_count=1), words=1)
    assert sentences(test) == [['i', 'like', 'deep', 'learning']] and len(sentences(train)) == 2


# Vocabularies as files


def test_a_vocabulary_returns_from_its_file(tmp_path):
    words = 'the', "o'brien", 'naïve', '語', 'a\u2028b', 'two words', 'tab\tin it', '#', '"'
    vocabulary = Vocabulary(words, np.array([10**12, 9, 8, 7, 6, 5, 4, 3, 0]))
    write_vocabulary(tmp_path / 'v.tsv', vocabulary)
    assert (tmp_path / 'v.tsv').read_bytes().startswith(b"the\t1000000000000\no'brien\t9\n")
    back = read_vocabulary(tmp_path / 'v.tsv')
    assert back.words == words and back.counts.dtype == np.int64
    np.testing.assert_array_equal(back.counts, vocabulary.counts)
    assert [path.name for path in tmp_path.iterdir()] == ['v.tsv']


def test_the_last_line_needs_no_break(tmp_path):
    (tmp_path / 'v').write_text('a\t2\nb\t1')
    assert read_vocabulary(tmp_path / 'v').words == ('a', 'b')


@pytest.mark.parametrize('line', ['a', 'a 2', 'a\t', 'a\t-1', 'a\t1.5', '', 'the\t3', 'a\t2\r'])
def test_a_bad_line_of_a_vocabulary_is_named(tmp_path, line):
    path = tmp_path / 'v'
    path.write_bytes(f'the\t5\n{line}\nb\t1\n'.encode())
    with pytest.raises(ValueError) as error:
        read_vocabulary(path)
    assert str(error.value) == f'{path}, line 2 is {line!r}; each line must be a new word, a tab and its count'


# What is refused


def refused(kind, source, **options):
    with pytest.raises(kind) as error:
        read_corpus(source, **options)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ('source', 'options', 'message'),
    [
        (LECTURE, {'min_count': 0}, 'min_count is 0; it must be at least 1'),
        (LECTURE, {'max_size': 1}, 'max_size is 1; a vocabulary needs at least 2 words'),
        ([' ', '...'], {}, 'the text has no words'),
        ([], {}, 'the text has no words'),
        (LECTURE, {}, 'the text has 7 different words, 0 of them kept at min_count 5; a vocabulary needs at least 2'),
        (
            ['a a a b'],
            {'min_count': 2},
            'the text has 2 different words, 1 of them kept at min_count 2; a vocabulary needs at least 2',
        ),
    ],
)
def test_texts_and_numbers_that_make_no_vocabulary(source, options, message):
    assert refused(ValueError, source, **options) == message


def test_a_vocabulary_given_that_does_not_fit():
    vocabulary = Vocabulary(('x', 'y'), np.array([2, 1]))
    assert refused(ValueError, LECTURE, vocabulary=vocabulary).endswith('none of the 2 words of the vocabulary given')
    single = Vocabulary(('x',), np.array([2]))
    assert refused(ValueError, LECTURE, vocabulary=single) == 'the vocabulary given has 1 words; at least 2 are needed'
    expected = "unknown is '?', which the vocabulary given does not have"
    assert refused(ValueError, LECTURE, vocabulary=vocabulary, unknown='?') == expected


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / 'empty').touch()
    assert refused(ValueError, tmp_path / 'empty') == f'{tmp_path / "empty"} has no words'


@pytest.mark.parametrize(
    ('source', 'end'), [('text9', 'did you mean text8?'), ('doc', 'did you mean docs?'), ('xyz', 'tfds:NAME')]
)
def test_a_missing_file_is_answered_with_the_nearest_name(tmp_path, monkeypatch, source, end):
    monkeypatch.chdir(tmp_path)
    message = refused(FileNotFoundError, source)
    assert message.startswith(f'there is no file {source}') and message.endswith(end)


def test_a_missing_file_is_answered_with_the_nearest_file(tmp_path):
    (tmp_path / 'corpus.txt.xz').touch()
    near = tmp_path / 'corpus.txt.xz'
    assert (
        refused(FileNotFoundError, tmp_path / 'corpus.txt')
        == f'there is no file {near.with_suffix("")}; did you mean {near}?'
    )
    assert 'did you mean' not in refused(FileNotFoundError, '/no such folder/no such file')


def test_a_folder_is_refused(tmp_path):
    assert str(tmp_path) in refused(IsADirectoryError, tmp_path)


@pytest.mark.parametrize(('suffix', 'pack'), [('.gz', gzip.compress), ('.xz', lzma.compress), ('.zip', zipped)])
@pytest.mark.parametrize('harm', ['cut', 'other'])
def test_a_damaged_file_is_refused(tmp_path, suffix, pack, harm):
    whole = pack('\n'.join(random_sentences(3)).encode())
    path = tmp_path / f'x{suffix}'
    path.write_bytes(whole[:-20] if harm == 'cut' else b'plain text')
    assert refused(OSError, path).startswith(f'{path} is damaged or cut short: ')


@pytest.mark.parametrize('suffix', ['', '.gz'])
def test_another_encoding_is_refused_by_byte_and_line(tmp_path, suffix):
    content = 'one\ntwo\n' * 10_000 + 'na\u00efve\n'
    path = tmp_path / f'x{suffix}'
    path.write_bytes((gzip.compress if suffix else bytes)(content.encode('latin-1')))
    assert refused(ValueError, path) == f'{path} is not UTF-8: byte 0xef in line 20,001 begins no character'


# text8, of a few words, and a source on the net that is a function


TEXT8 = 'anarchism originated as a term of abuse ' * 300


def lengths(data_dir):
    return [len(words) for words in sentences(read_corpus('text8', data_dir=str(data_dir)))]


@pytest.fixture
def net(monkeypatch):
    """Answers every request with the zipped text; net.content is None where the net is out of reach."""

    def get(url, **options):
        get.asked += [url]
        response = requests.Response()
        if get.content is None:
            raise requests.exceptions.ConnectionError(url)
        response.status_code, response.raw = get.status, io.BytesIO(get.content)
        return response

    get.content, get.status, get.asked = zipped(TEXT8), 200, []
    monkeypatch.setattr(requests, 'get', get)
    monkeypatch.setattr(sources, 'TEXT8_MD5', hashlib.md5(get.content).hexdigest())
    return get


@pytest.mark.parametrize('name', ['text8', 'text8.gz', 'text8.zip'])
def test_text8_is_found_in_its_folder(tmp_path, net, name):
    pack = {'text8': str.encode, 'text8.gz': lambda x: gzip.compress(x.encode()), 'text8.zip': zipped}[name]
    (tmp_path / name).write_bytes(pack(TEXT8))
    assert lengths(tmp_path) == [1000, 1000, 100] and not net.asked


def test_text8_is_downloaded_once(tmp_path, net, monkeypatch):
    monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'default'))
    for _ in range(2):
        assert lengths('') == [1000, 1000, 100]
    assert net.asked == ['http://mattmahoney.net/dc/text8.zip']
    assert [path.name for path in (tmp_path / 'default').iterdir()] == ['text8.zip']


@pytest.mark.parametrize(
    ('content', 'status', 'kind', 'message'),
    [
        (None, 200, FileNotFoundError, 'out of reach'),
        (b'', 404, FileNotFoundError, 'out of reach'),
        (b'something else', 200, ValueError, 'has the md5 checksum 6c7ba9c5a141421e1c03cb9807c97c74'),
    ],
)
def test_what_is_not_text8_leaves_nothing(tmp_path, net, content, status, kind, message):
    net.content, net.status = content, status
    assert message in refused(kind, 'text8', data_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


# Sets of TFDS


def prepared(folder, feature, file_format='array_record'):
    class Lines(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version('1.0.0')

        def _info(self):
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict({feature: tfds.features.Text()}))

        def _split_generators(self, dl_manager):
            return {'train': self._generate_examples()}

        def _generate_examples(self):
            for i in range(3):
                yield i, {feature: f'First line\nline {i} naïve'}

    Lines(data_dir=folder).download_and_prepare(file_format=file_format)
    return str(folder)


def test_a_prepared_set_is_read_line_by_line(tmp_path):
    corpus = read_corpus('tfds:lines', data_dir=prepared(tmp_path, 'text'), min_count=1)
    assert sorted(sentences(corpus)) == [['first', 'line']] * 3 + [['line', str(i), 'naïve'] for i in range(3)]


def test_sets_that_hold_no_text_or_are_not_prepared_are_refused(tmp_path):
    message = refused(ValueError, 'tfds:lines', data_dir=prepared(tmp_path, 'title'))
    assert message == 'lines has the parts and features train, title; train and text are needed'
    message = refused(FileNotFoundError, 'tfds:lm1b', data_dir=str(tmp_path))
    assert message.startswith('lm1b is not prepared in ')
    assert 'nearest: ' in refused(ValueError, 'tfds:lm1bb', data_dir=str(tmp_path))
