"""Words and characters of a text, against examples, Unicode's rules and each other."""

import itertools
import lzma
import unicodedata

import hypothesis
import hypothesis.strategies as st
import pytest
import regex

from genjax.data.text import (
    characters,
    docstrings,
    get_tokenizer,
    letters,
    tokenizers,
    tokens,
)


@pytest.mark.parametrize(
    ('written', 'words'),
    [
        (
            "The king's men don't know: it's 1.5 or 2.6.18!",
            "the king 's men don't know it 's 1.5 or 2.6.18",
        ),
        ('learning_rate, e-mail... A.B. (x86-64)', 'learning rate e mail a b x86 64'),
        (
            "the 'quoted' 's' and dogs' o’Brien’s l'École",
            "the quoted 's and dogs o'brien 's l'école",
        ),
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


# What is written with spaces between words, marks and joiners among them: a text comes out as its
# spaces part it.
SPACED = {
    'Hindi': 'दिल्ली में बारिश हुई क्योंकि',
    'Bengali': 'বাংলাদেশের রাষ্ট্রভাষা ক্ষেত্রে',
    'Tamil': 'தமிழ்நாட்டில் மழை பெய்கிறது',
    'Telugu': 'తెలుగు భాషలో పుస్తకాలు',
    'Malayalam, joiners at the end': 'അവന്\u200d മലയാളം കണ്ണ്\u200c',
    'Arabic, vocalised': 'اَلْعَرَبِيَّةُ لُغَةٌ جَمِيلَةٌ',
    'Persian, non-joiners': 'می\u200cخواهم کتاب\u200cها را',
    'Hebrew, pointed': 'שָׁלוֹם עֲלֵיכֶם בְּרֵאשִׁית',
    'Hebrew acronyms': 'צה"ל חז״ל ג׳ירפה',
    'Czech': 'příliš žluťoučký kůň úpěl',
    'Vietnamese': 'tiếng việt được viết bằng chữ',
    'marks that compose with nothing': 'm\u030cno x\u0323y',
    'Greek': 'ὁ ἄνθρωπος ᾠδή σοφός',
    'Russian, stressed': 'за\u0301мок замо\u0301к',
    'Korean': '한국어 문장을 읽는다',
    'Amharic': 'አማርኛ ቋንቋ ነው',
    'Catalan': 'col·legi paral·lel',
    'Javanese': 'ꦧꦱꦗꦮ ꦱꦼꦏꦂ',
    'digits': '१२३ ١٢٣ ۱٫۵',
}


@pytest.mark.parametrize('script', SPACED)
@pytest.mark.parametrize('form', ['NFC', 'NFD'])
def test_marks_and_joiners_belong_to_their_words(script, form):
    words = unicodedata.normalize('NFC', SPACED[script]).split()
    assert tokens(unicodedata.normalize(form, SPACED[script])) == words
    assert tokens(f'«{", ".join(words)}».') == words


@pytest.mark.parametrize(
    ('written', 'words'),
    [
        ('İstanbul DİYARBAKIR', 'i\u0307stanbul di\u0307yarbakir'),
        ('ΣΟΦΟΣ', 'σοφος'),
        (
            '漢字と 他说‘你好’然后',
            '漢 字 と 他 说 你 好 然 后',
        ),  # an apostrophe joins no ideographs
        ('カタカナ コーヒー', 'カタカナ コーヒー'),
        ('ไทยนี้', 'ไ ท ย นี้'),
        ('🇩🇪🇫🇷 👩\u200d👩\u200d👧 ❤\ufe0f ok', 'ok'),
        ('co\xadoperate \u202bשלום\u202c\u200f \ufeffa', 'cooperate שלום a'),
        ('é_é ＿ａ‿ｂ 1\u202f000 é:é é,é É.É.', 'é é ａ ｂ 1 000 é é é é é é'),
        ("é's d'été l’É's", "é 's d'été l'é 's"),
        ("s\u030c's\u030c", "š'š"),  # no final 's: its s has a mark
        ("m² H₂O 1½ ½ 漢① c'² ١٬٠٠٠", "m² h₂o 1½ ½ 漢 ① c'² ١٬٠٠٠"),
        ('\u0301 \u094d', ''),
    ],
)
def test_tokens_of_every_script(written, words):
    assert tokens(written) == words.split()
    assert tokens(words) == words.split()


PRINTED = ''.join(map(chr, range(128)))
EDGES = 'asSZ019\'._-:, "\n'


@hypothesis.given(st.text(PRINTED) | st.text(EDGES))
def test_of_ascii_both_patterns_give_the_same(drawn):
    assert (
        tokenizers.TOKEN.findall(drawn.lower())
        == tokenizers.PLAIN_TOKEN.findall(drawn.lower())
        == tokens(drawn)
    )


PLAIN = ''.join(filter(tokenizers.PLAIN.fullmatch, map(chr, range(0x3000))))


@hypothesis.given(st.text(PLAIN) | st.text(EDGES + 'éßŽΣςдЙ’–“\xa0'))
def test_of_plain_letters_both_patterns_give_the_same(drawn):
    assert unicodedata.is_normalized('NFC', drawn) and unicodedata.is_normalized(
        'NFC', drawn.lower()
    )
    assert tokens(drawn) == tokenizers.TOKEN.findall(drawn.lower().replace('’', "'"))


# Pieces of texts as they are written, most of which are read without the pattern.
PIECES = [
    'Word',
    '1',
    '.5',
    '.',
    '. ',
    ', ',
    ' ',
    '\n',
    '\t',
    '-',
    "'",
    "'s",
    '’s ',
    '_',
    '...',
    '\x1f',
]


@hypothesis.given(st.lists(st.sampled_from([*PIECES, 'é', 'ДОМ ', '\xa0', '«']), max_size=12))
def test_the_words_of_a_text_are_those_of_the_pattern(pieces):
    drawn = ''.join(pieces)
    assert tokens(drawn) == tokenizers.PLAIN_TOKEN.findall(drawn.lower().replace('’', "'"))


@pytest.mark.parametrize(
    'written',
    [
        'Élan vital ДОМ',
        "The king 's men 's",
        'One, two; (three_four).',
        'A. B! 5. 2?\n',
        '10 000\t-1\r\n',
    ],
)
def test_plain_lines_are_read_without_the_pattern(written, monkeypatch):
    class Absent:
        def findall(self, text):
            raise AssertionError(f'{text!r} is read by the pattern')

    expected = tokenizers.PLAIN_TOKEN.findall(written.lower())
    monkeypatch.setattr(tokenizers, 'PLAIN_TOKEN', Absent())
    assert tokens(written) == expected


def test_each_plain_letter_is_one_in_both_patterns():
    for letter in PLAIN.lower():
        for context in 'a{}b', '1{}2', '{}', 'a {}', '{0}{0}':
            written = context.format(letter.replace('’', "'"))
            assert tokenizers.TOKEN.findall(written) == tokenizers.PLAIN_TOKEN.findall(written), (
                written
            )


MARKED = (
    ''.join(map(''.join, SPACED.values()))
    + EDGES
    + 'İ漢ひカ😀\u0301\u0308\u094d\u200c\u200d\ufe0f\xad\u2019\u202f'
)


def letters_of(drawn):
    """Letters and digits without their marks."""
    return [letter for letter in unicodedata.normalize('NFD', drawn) if letter.isalnum()]


# The package regex knows characters that Python does not know yet.
KNOWN = st.characters(exclude_categories=['Cs', 'Cn'])


@hypothesis.given(st.text(MARKED, max_size=30) | st.text(KNOWN, max_size=30))
def test_words_are_composed_lower_and_stay_as_they_are(drawn):
    words = tokens(drawn)
    assert (
        tokens(unicodedata.normalize('NFD', drawn))
        == tokens(unicodedata.normalize('NFC', drawn))
        == words
    )
    for word in words:
        assert unicodedata.is_normalized('NFC', word) and not any(map(str.isspace, word))
        assert word == "'s" or unicodedata.category(word[0])[0] in 'LN'
    assert tokens(' '.join(words)) == words
    whole = unicodedata.normalize('NFC', drawn).lower()
    assert letters_of(''.join(words)) == letters_of(whole)


# One character of each class of UAX 29, table 3, as in WordBreakTest.txt, and the rules as they
# stand there.
CLASSES = {
    'CR': '\r',
    'LF': '\n',
    'Newline': '\x0b',
    'Extend': '\u0308',
    'ZWJ': '\u200d',
    'Format': '\xad',
    'Regional_Indicator': '\U0001f1e6',
    'Katakana': '\u3031',
    'Hebrew_Letter': '\u05d0',
    'ALetter': 'A',
    'Single_Quote': "'",
    'Double_Quote': '"',
    'MidNumLet': '.',
    'MidLetter': ':',
    'MidNum': ',',
    'Numeric': '0',
    'ExtendNumLet': '_',
    'WSegSpace': ' ',
    'Pictographic': '\u231a',
    'Other': '\u4e00',
}
LINES = {'CR', 'LF', 'Newline'}
IGNORED = {'Extend', 'Format', 'ZWJ'}
LETTER = {'ALetter', 'Hebrew_Letter'}
QUOTE = {'MidNumLet', 'Single_Quote'}


def joined(kinds, i):
    """Whether there is no boundary before place i > 0."""
    before, after = kinds[i - 1], kinds[i]
    if (before, after) == ('CR', 'LF'):  # WB3
        return True
    if before in LINES or after in LINES:  # WB3a, b
        return False
    if (before, after) in (
        ('ZWJ', 'Pictographic'),
        ('WSegSpace', 'WSegSpace'),
    ) or after in IGNORED:  # WB3c, d, WB4
        return True
    past = []  # what stands before, without what is ignored after it
    for kind in kinds[:i]:
        if kind not in IGNORED or not past or past[-1] in LINES:
            past.append(kind)
    last = past[-1]
    further = past[-2] if len(past) > 1 else None
    following = next((kind for kind in kinds[i + 1 :] if kind not in IGNORED), None)
    flags = len(list(itertools.takewhile('Regional_Indicator'.__eq__, reversed(past))))
    word = LETTER | {'Numeric', 'Katakana', 'ExtendNumLet'}
    middle = {'MidLetter'} | QUOTE
    return (
        (last in LETTER and after in LETTER)  # WB5
        or (last in LETTER and after in middle and following in LETTER)  # WB6
        or (further in LETTER and last in middle and after in LETTER)  # WB7
        or (last == 'Hebrew_Letter' and after == 'Single_Quote')  # WB7a
        or (last == following == 'Hebrew_Letter' and after == 'Double_Quote')  # WB7b
        or (further == after == 'Hebrew_Letter' and last == 'Double_Quote')  # WB7c
        or (last in LETTER | {'Numeric'} and after in LETTER | {'Numeric'})  # WB8, 9, 10
        or (further == after == 'Numeric' and last in {'MidNum'} | QUOTE)  # WB11
        or (last == following == 'Numeric' and after in {'MidNum'} | QUOTE)  # WB12
        or (last == after == 'Katakana')  # WB13
        or (last in word and after == 'ExtendNumLet')  # WB13a
        or (last == 'ExtendNumLet' and after in word)  # WB13b
        or (last == after == 'Regional_Indicator' and flags % 2 == 1)  # WB15, 16
    )


@hypothesis.given(st.lists(st.sampled_from(sorted(CLASSES)), min_size=1, max_size=8))
def test_the_boundaries_are_those_of_uax_29(kinds):
    written = ''.join(CLASSES[kind] for kind in kinds)
    found = [match.start() for match in regex.finditer(r'\b', written, regex.WORD)]
    assert found == [
        i for i in range(len(kinds) + 1) if i in (0, len(kinds)) or not joined(kinds, i)
    ]


def test_characters_are_what_a_reader_counts():
    assert characters(' Ab  c\u030c\t\n') == ['A', 'b', '▁', 'č']
    assert characters('नि 한국 👩\u200d👧🇩🇪') == ['नि', '▁', '한', '국', '▁', '👩\u200d👧', '🇩🇪']
    assert characters(unicodedata.normalize('NFD', '한국 ế')) == ['한', '국', '▁', 'ế']


@hypothesis.given(st.text(MARKED, max_size=30))
def test_characters_lose_nothing_but_the_amount_of_white_space(drawn):
    found = characters(drawn)
    assert get_tokenizer('characters').join(found) == ' '.join(
        unicodedata.normalize('NFC', drawn).split()
    )
    assert not any(letter.isspace() for word in found for letter in word)


def test_letters_are_those_of_english_with_one_space_between_words():
    assert ''.join(letters(' The e-mail, é  and 2 X1. ')) == 'the e mail and x'
    assert letters('12 é') == []


def test_tokenizers_have_names():
    sentence = 'The e-mail, é'
    assert get_tokenizer('words').split(sentence) == ['the', 'e', 'mail', 'é']
    assert get_tokenizer('spaces').split(sentence) == ['The', 'e-mail,', 'é']
    assert get_tokenizer('characters').join(get_tokenizer('characters').split(sentence)) == sentence
    with pytest.raises(
        ValueError, match="^tokenizer is 'letters'; known are words, characters, spaces$"
    ):
        get_tokenizer('letters')
