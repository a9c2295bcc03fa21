"""Files read by blocks of lines, against the plain way that reads them line by line."""

import numpy as np
import pytest

from genjax.data.text import blocks, read_corpus, sources, tokens
from tests.data.text.texts import sentences

# What decides where words begin and end, and what is read line by line
PARTS = ['a', 's', "'", '.', '7', ' ', '\n', 'Q', '_', '-', '\r', '\t', '\x1c', 'x' * 30]
OTHERS = [*PARTS, 'é', '’', '中', '²', '\ufeff', '٣']


def read_by_blocks(path, tokenize, size):
    """The sentences of a file by `number_file`, without empty ones."""
    numbers = blocks.new_numbers()
    ids = np.concatenate([*blocks.number_file(path, tokenize, numbers, size=size), [0]])
    words = [word.decode() for word in numbers]
    lines = [[]]
    for i in ids:
        if i:
            lines[-1].append(words[i])
        else:
            lines.append([])
    return [line for line in lines if line]


def read_line_by_line(path, tokenize):
    lines = [list(tokenize(line)) for line in sources.lines(path)]
    return [line for line in lines if line]


@pytest.mark.parametrize('tokenize', [tokens, str.split])
@pytest.mark.parametrize('parts', [PARTS, OTHERS])
@pytest.mark.parametrize('size', [64, blocks.BLOCK])
def test_any_text_is_read_as_line_by_line(tmp_path, parts, tokenize, size):
    draw = np.random.default_rng(0)
    for i in range(40):
        path = tmp_path / f'{i}.txt'
        path.write_bytes(''.join(draw.choice(parts, draw.integers(0, 400))).encode())
        assert read_by_blocks(path, tokenize, size) == read_line_by_line(path, tokenize)


@pytest.mark.parametrize('long', [sources.STRETCH, 3 * sources.STRETCH, 2 * sources.PIECE])
@pytest.mark.parametrize('unit', ['a ', 'ab', "é's "])
@pytest.mark.parametrize('end', ['', '\n', '\nlast one'])
def test_long_lines_are_cut_as_line_by_line(tmp_path, long, unit, end):
    for after in 'b c', '':
        path = tmp_path / 'x'
        path.write_text(f'first\nsecond {unit * (long // 2)} {after}{end}', encoding='utf-8')
        expected = read_line_by_line(path, tokens)
        assert read_by_blocks(path, tokens, 4096) == expected
        assert sentences(read_corpus(path, min_count=1)) == expected


@pytest.mark.parametrize('bad', [b'a\0b', b'na\xefve'])
def test_errors_name_the_line(tmp_path, bad):
    path = tmp_path / 'x'
    path.write_bytes(b'one\n' * 999 + bad + b'\ntwo\n' * 999)
    with pytest.raises(ValueError) as plain:
        list(sources.lines(path))
    with pytest.raises(ValueError, match='line 1,000') as by_blocks:
        read_by_blocks(path, tokens, 512)
    assert str(by_blocks.value) == str(plain.value)


def test_every_tokenizer_of_blocks_agrees_byte_by_byte(tmp_path):
    """Each ASCII character but 0 between, before and after letters, digits and apostrophes."""
    around = ['', 'a', '1', "'", 's', "'s", ' ']
    lines = [
        f'{before}{chr(code)}{after}'
        for code in range(1, 128)
        if chr(code) != '\n'
        for before in around
        for after in around
    ]
    path = tmp_path / 'x'
    path.write_text('\n'.join(lines), newline='')
    for tokenize in blocks.CUTS:
        assert read_by_blocks(path, tokenize, blocks.BLOCK) == read_line_by_line(path, tokenize)
