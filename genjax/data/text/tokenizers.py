"""How a text is cut into words or characters."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import NamedTuple

import regex

SPACE = '\N{LOWER ONE EIGHTH BLOCK}'  # white space among characters, as sentencepiece writes it

# An apostrophe joins letters and digits unless it begins a final 's; a point joins two digits.
LETTERS = r'[^\W_]'  # and digits
FINAL_S = rf"'s(?!'?{LETTERS})"
PLAIN_TOKEN = re.compile(rf"{LETTERS}+(?:(?:(?!{FINAL_S})'|(?<=\d)\.(?=\d)){LETTERS}+)*|{FINAL_S}")

# The same in every script; of ASCII it gives the same. \B is where UAX 29 has no boundary of words:
# before a mark, a joiner or a further letter, but not between two ideographs. Only letters that it
# joins are joined by an apostrophe. Numerals that are no digits (m², H₂O, 1½) join as letters do,
# where UAX 29 parts them.
INNER = r'\B[a-z0-9"[^\x00-\x7F\p{Word_Break=ExtendNumLet}]]'
BEGIN = r'[\p{L}\p{N}]'
WORD_LETTER = r'[\p{Word_Break=ALetter}\p{Word_Break=Hebrew_Letter}\p{Word_Break=Numeric}]'
LETTER = rf'[[{BEGIN}&&{WORD_LETTER}]\p{{No}}]'
JOINED = rf'{LETTER}(?:{INNER}|\p{{No}}|(?<=\p{{No}}){LETTER})*+'
WHOLE_S = rf"'s(?!{INNER}|\p{{No}}|'{BEGIN})"
TOKEN = regex.compile(
    rf"{JOINED}(?:(?:(?!{WHOLE_S})'|(?<=\d)\.(?=\d)){JOINED})*+|{BEGIN}(?:{INNER})*+|{WHOLE_S}",
    regex.VERSION1 | regex.WORD,
)
GRAPHEME = regex.compile(r'\X')

# ASCII, the letters of Latin, Greek and Cyrillic that are one character each, and punctuation
# around words: here both patterns agree and nothing is to be composed, and the first one is three
# times as fast.
PLAIN = re.compile(
    '[\0-\x7f\xa0\xab\xbb\xc0-\xd6\xd8-\xf6\xf8-\u012f\u0131-\u024f'
    '\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03ce'
    '\u0400-\u0481\u048a-\u052f\u2013\u2014\u2019\u201c-\u201e\u2026]*'
)
# What parts words in every place, of ASCII: all but letters, digits, the apostrophe and the point
PARTING = {code: ' ' for code in range(128) if not (chr(code).isalnum() or chr(code) in "'.")}
# Soft hyphens, marks of direction and word joiners: invisible, and no part of a word's spelling.
INVISIBLE = re.compile('[\xad\u061c\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]')


def tokens(text: str) -> list[str]:
    """The words of a text in lower case, composed (NFC); what lies between them is dropped.

    A word is a run of letters and digits with their combining marks and joiners, between two
    boundaries of Unicode's default segmentation (UAX 29, as the package regex has it). It has a
    letter or a digit at its beginning. Rules that part or join differently:

    - Hyphens, underscores and other connectors part words, and so do an ASCII colon, comma or a
      point, but for a point between digits (1.5).
    - An apostrophe within a word stays (don't, o'brien), and the right single quotation mark is
      one, but a final 's is a word of its own (king, 's).
    - Numerals such as ², ₂ and ½ join letters and digits (H₂O).
    - Soft hyphens, marks of direction and word joiners are left out.

    A text that is already so, its words parted by spaces, comes out as text.split() would part it.
    UAX 29 has no dictionary: in Chinese, in Japanese but for katakana, in Thai, Lao, Khmer and
    Burmese each character is a word; read such a text with str.split once a segmenter for its
    language has parted it. Lower case is str.lower, of no language (the Turkish capital I with a
    dot becomes i and a mark, in one word).
    """
    if text.isascii() or PLAIN.fullmatch(text):
        return _plain_tokens(text.lower().replace('\N{RIGHT SINGLE QUOTATION MARK}', "'"))
    composed = unicodedata.normalize('NFC', INVISIBLE.sub('', text))
    lower = unicodedata.normalize('NFC', composed.lower())
    return TOKEN.findall(lower.replace('\N{RIGHT SINGLE QUOTATION MARK}', "'"))


def _plain_tokens(lower: str) -> list[str]:
    """The words of a text as `PLAIN_TOKEN` finds them, which is used where it has to be only.

    Where letters and digits alone stand between spaces, as str.isalnum and the pattern alike have
    them, the runs that the pattern finds are what spaces part. So it is in most lines of a prepared
    text, and of ordinary ASCII without apostrophes once its punctuation is made spaces. A point is
    safe at the end and before a space, where it is not between two digits. In other texts the
    pattern looks at single pieces: none of its matches, nor what decides one, reaches over a space.
    """
    if _only_words(lower):
        return lower.split()
    if lower.isascii():
        lower = lower.translate(PARTING).replace('. ', '  ').removesuffix('.')
        if _only_words(lower):
            return lower.split()

    words = []
    for piece in lower.split():
        if piece.isalnum() or piece == "'s":
            words.append(piece)
        else:
            words += PLAIN_TOKEN.findall(piece)
    return words


def _only_words(text: str) -> bool:
    """Whether there is nothing but letters and digits between spaces."""
    return text.replace(' ', '').isalnum()


def characters(text: str) -> list[str]:
    """The characters of a text as a reader counts them: grapheme clusters (UAX 29), after NFC.

    A letter and its marks are one. Their case stays. White space between them, however much, is one
    `SPACE`; none is at the ends.
    """
    spaced = ' '.join(unicodedata.normalize('NFC', text).split())
    visible = spaced.replace(' ', SPACE)
    return list(visible) if spaced.isascii() else GRAPHEME.findall(visible)


def join_characters(characters: Iterable[str]) -> str:
    """The text of `characters`."""
    return ''.join(characters).replace(SPACE, ' ')


def letters(text: str) -> list[str]:
    """The letters a to z of a text in lower case, with one space between words.

    These 27 are the characters of text8 (Mahoney 2006), which spells digits as words besides.
    """
    return list(' '.join(re.findall('[a-z]+', text.lower())))


class Tokenizer(NamedTuple):
    """How a text is cut into words, and words are written as a text."""

    split: Callable[[str], list[str]]
    join: Callable[[Iterable[str]], str]


TOKENIZERS = {
    'words': Tokenizer(tokens, ' '.join),
    'characters': Tokenizer(characters, join_characters),
    'spaces': Tokenizer(str.split, ' '.join),
}


def get_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of a name in `TOKENIZERS`.

    Raises:
      ValueError: there is none of that name.
    """
    if name not in TOKENIZERS:
        raise ValueError(f'tokenizer is {name!r}; known are {", ".join(TOKENIZERS)}')
    return TOKENIZERS[name]
