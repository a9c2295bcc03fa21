"""Where text comes from: files whole and damaged, long lines, text8, sets of TFDS."""

import gzip
import hashlib
import io
import lzma

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

from genjax.data.text import characters, read_corpus, sources, tokens
from tests.data.text.texts import random_sentences, refusal, sentences, zipped


@pytest.mark.parametrize(
    ('suffix', 'pack'),
    [('', bytes), ('.gz', gzip.compress), ('.xz', lzma.compress), ('.zip', zipped)],
)
@pytest.mark.parametrize('line_end', ['\n', '\r\n'])
def test_files_of_every_kind_hold_the_same_corpus(tmp_path, suffix, pack, line_end):
    lines = random_sentences(2)
    path = tmp_path / f'text{suffix}'
    # It begins with a mark and ends without a break.
    path.write_bytes(pack(b'\xef\xbb\xbf' + line_end.join(lines).encode()))
    expected = read_corpus(lines).fingerprint
    assert read_corpus(path, tokenize=str.split).fingerprint == expected
    assert read_corpus(str(path)).fingerprint == expected


@pytest.mark.parametrize('piece', [7, 100, 2**16])
def test_long_lines_are_cut_after_every_1000_words(tmp_path, monkeypatch, piece):
    """However it is read: in pieces that end within a word, or within a letter of two bytes."""
    monkeypatch.setattr(sources, 'PIECE', piece)
    draw = np.random.default_rng(0)
    lengths = [3, 1000, 1001, 0, 999, 4321, 5]
    lines = [[f'é{i}' for i in draw.integers(0, 99, n)] for n in lengths]
    (tmp_path / 'x').write_text('\n'.join(map(' '.join, lines)), encoding='utf-8')
    read = sentences(read_corpus(tmp_path / 'x', min_count=1))
    assert [len(words) for words in read] == [3, 1000, 1000, 1, 999, 1000, 1000, 1000, 1000, 321, 5]
    assert sum(read, []) == sum(lines, [])


UNSPACED = {
    'ideographs': ''.join(chr(0x4E00 + i % 500) for i in range(50_000)),
    'Thai': 'ภาษาไทยนี้' * 5_000,
    'emoji': '👩\u200d👩\u200d👧🇩🇪' * 7_000,
    'one letter': 'x' * 200_000,
    'Hindi': 'दिल्ली' * 9_000,
}


@pytest.mark.parametrize('script', UNSPACED)
@pytest.mark.parametrize('end', ['', '\n'])
def test_text_without_spaces_of_any_length_is_text(tmp_path, script, end):
    """Nothing is lost, and none of its characters is cut."""
    path = tmp_path / 'line.txt'
    path.write_text(f'a b\n{UNSPACED[script]}{end}', encoding='utf-8')
    whole = ['a', ' ', 'b', *UNSPACED[script]]
    assert sum(sentences(read_corpus(path, min_count=1, tokenize=list)), []) == whole
    read = sentences(read_corpus(path, min_count=1, tokenize=characters))
    assert sum(read, []) == ['a', '▁', 'b', *characters(UNSPACED[script])]
    assert max(sum(map(len, sentence)) for sentence in read) <= sources.LONGEST


@pytest.mark.parametrize('piece', [7, 4096])
@pytest.mark.parametrize('seed', range(4))
def test_no_word_of_a_text_without_spaces_is_cut(tmp_path, monkeypatch, piece, seed):
    """However it is read, its words are those of the whole: with apostrophes, points and marks."""
    monkeypatch.setattr(sources, 'PIECE', piece)
    draw = np.random.default_rng(seed)
    parts = [
        ' 中 ',
        '漢',
        'かな',
        "l'été,",
        '1.5%',
        'दिल्ली/',
        "king's-",
        "a'1|",
        'e\u0301\u0323;',
        '👩\u200d👧',
        ':',
        "'",
    ]
    line = ''.join(draw.choice(parts[seed % 2 :], 20_000))  # half of the lines have no space at all
    (tmp_path / 'x').write_text(line, encoding='utf-8')
    assert sum(sentences(read_corpus(tmp_path / 'x', min_count=1)), []) == tokens(line)


def test_a_line_is_what_stands_between_its_ends(tmp_path):
    for end in '\n', '\r\n':
        (tmp_path / 'x').write_bytes(f'ab{end}c{end}'.encode())
        assert sentences(read_corpus(tmp_path / 'x', min_count=1, tokenize=list)) == [
            ['a', 'b'],
            ['c'],
        ]


@pytest.mark.parametrize(
    ('source', 'end'),
    [('text9', 'did you mean text8?'), ('doc', 'did you mean docs?'), ('xyz', 'tfds:NAME')],
)
def test_a_missing_file_is_answered_with_the_nearest_name(tmp_path, monkeypatch, source, end):
    monkeypatch.chdir(tmp_path)
    message = refusal(FileNotFoundError, source)
    assert message.startswith(f'there is no file {source}') and message.endswith(end)


def test_a_missing_file_is_answered_with_the_nearest_file(tmp_path):
    (tmp_path / 'corpus.txt.xz').touch()
    near = tmp_path / 'corpus.txt.xz'
    assert (
        refusal(FileNotFoundError, tmp_path / 'corpus.txt')
        == f'there is no file {near.with_suffix("")}; did you mean {near}?'
    )
    assert 'did you mean' not in refusal(FileNotFoundError, '/no such folder/no such file')


def test_a_folder_is_refusal(tmp_path):
    assert str(tmp_path) in refusal(IsADirectoryError, tmp_path)


@pytest.mark.parametrize(
    ('suffix', 'pack'), [('.gz', gzip.compress), ('.xz', lzma.compress), ('.zip', zipped)]
)
@pytest.mark.parametrize('harm', ['cut', 'other'])
def test_a_damaged_file_is_refusal(tmp_path, suffix, pack, harm):
    whole = pack('\n'.join(random_sentences(3)).encode())
    path = tmp_path / f'x{suffix}'
    path.write_bytes(whole[:-20] if harm == 'cut' else b'plain text')
    assert refusal(OSError, path).startswith(f'{path} is damaged or cut short: ')


@pytest.mark.parametrize('suffix', ['', '.gz'])
def test_another_encoding_is_refused_by_byte_and_line(tmp_path, suffix):
    content = 'one\ntwo\n' * 10_000 + 'na\u00efve\n'
    path = tmp_path / f'x{suffix}'
    path.write_bytes((gzip.compress if suffix else bytes)(content.encode('latin-1')))
    assert (
        refusal(ValueError, path)
        == f'{path} is not UTF-8: byte 0xef in line 20,001 begins no character'
    )


# text8, of a few words, and a source on the net that is a function


TEXT8 = 'anarchism originated as a term of abuse ' * 300


def lengths(data_dir):
    return [len(words) for words in sentences(read_corpus('text8', data_dir=str(data_dir)))]


@pytest.fixture
def net(monkeypatch):
    """Answers every request with the zipped text; content None stands for no network."""

    def get(url, **options):
        get.asked += [url]
        response = requests.Response()
        if get.content is None:
            raise requests.exceptions.ConnectionError(url)
        response.status_code = get.status
        response.raw = io.BytesIO(get.content)
        return response

    get.content = zipped(TEXT8)
    get.status = 200
    get.asked = []
    monkeypatch.setattr(requests, 'get', get)
    monkeypatch.setattr(sources, 'TEXT8_MD5', hashlib.md5(get.content).hexdigest())
    return get


@pytest.mark.parametrize('name', ['text8', 'text8.gz', 'text8.zip'])
def test_text8_is_found_in_its_folder(tmp_path, net, name):
    pack = {
        'text8': str.encode,
        'text8.gz': lambda x: gzip.compress(x.encode()),
        'text8.zip': zipped,
    }[name]
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
        (
            b'something else',
            200,
            ValueError,
            'has the md5 checksum 6c7ba9c5a141421e1c03cb9807c97c74',
        ),
    ],
)
def test_what_is_not_text8_leaves_nothing(tmp_path, net, content, status, kind, message):
    net.content = content
    net.status = status
    assert message in refusal(kind, 'text8', data_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


# Sets of TFDS


def prepared(folder, feature, file_format='array_record'):
    class Lines(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version('1.0.0')

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict({feature: tfds.features.Text()})
            )

        def _split_generators(self, dl_manager):
            return {'train': self._generate_examples()}

        def _generate_examples(self):
            for i in range(3):
                yield i, {feature: f'First line\nline {i} naïve'}

    Lines(data_dir=folder).download_and_prepare(file_format=file_format)
    return str(folder)


def test_a_prepared_set_is_read_line_by_line(tmp_path):
    corpus = read_corpus('tfds:lines', data_dir=prepared(tmp_path, 'text'), min_count=1)
    assert sorted(sentences(corpus)) == [['first', 'line']] * 3 + [
        ['line', str(i), 'naïve'] for i in range(3)
    ]


def test_sets_that_hold_no_text_or_are_not_prepared_are_refusal(tmp_path):
    message = refusal(ValueError, 'tfds:lines', data_dir=prepared(tmp_path, 'title'))
    assert message == 'lines has the parts and features train, title; train and text are needed'
    message = refusal(FileNotFoundError, 'tfds:lm1b', data_dir=str(tmp_path))
    assert message.startswith('lm1b is not prepared in ')
    assert 'nearest: ' in refusal(ValueError, 'tfds:lm1bb', data_dir=str(tmp_path))
