"""Files of word pairs with scores and of analogies."""

import pytest

from genjax.data.words.sets import read_analogies, read_sets, read_similarity, union

PAIRS = [('tiger', 'cat', 7.35), ('Jerusalem', 'Israel', 8.46)]


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    'text',
    [
        'tiger\tcat\t7.35\nJerusalem\tIsrael\t8.46\n',  # the halves of WordSim-353
        'tiger cat 7.350000\nJerusalem Israel 8.460000',  # MEN
        # WordSim-353, combined
        'Word 1,Word 2,Human (mean)\r\ntiger,cat,7.35\r\nJerusalem,Israel,8.46\r\n',
        'word1\tword2\tPOS\tSimLex999\tconc(w1)\ntiger\tcat\tN\t7.35\t4.9\nJerusalem\tIsrael\tN\t8.46\t4.4\n',
        '\ufeff# made up\ntiger ; cat ; 7.35\n\n# more\nJerusalem;Israel;8.46\n',  # RG-65, by some
    ],
)
def test_pairs_are_read_as_they_are_distributed(tmp_path, text):
    assert read_similarity(write(tmp_path / 'pairs', text)) == PAIRS


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a b 1\na b\n', "pairs line 2 is 'a b'; wanted are two words and a score"),
        ('a b 1\n\na b nan\n', "pairs line 3 is 'a b nan'; wanted are two words and a score"),
        ('a,b,1\n,b,2\n', "pairs line 2 is ',b,2'; wanted are two words and a score"),
        ('word1 word2 score\n', 'pairs holds no pairs; wanted are lines of two words and a score'),
        ('', 'pairs holds no pairs; wanted are lines of two words and a score'),
        (b'a b 1\n\xff', 'pairs is not UTF-8 text, at byte 6'),
    ],
)
def test_what_is_no_set_of_pairs_is_refused_in_one_line(tmp_path, text, message):
    path = write(tmp_path / 'pairs', text)
    with pytest.raises(ValueError) as error:
        read_similarity(path)
    assert str(error.value) == f'{tmp_path}/{message}'


def test_analogies_are_read_by_category(tmp_path):
    path = write(
        tmp_path / 'q',
        ': capitals\nAthens Greece Oslo Norway\n\n: gram8-plural\r\nbird birds cat cats\r\n',
    )
    expected = [
        ('capitals', 'Athens', 'Greece', 'Oslo', 'Norway'),
        ('gram8-plural', 'bird', 'birds', 'cat', 'cats'),
    ]
    assert read_analogies(path) == expected


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a b c d\n', 'q line 1 is \'a b c d\'; wanted is a category, as in ": family"'),
        (': family\nhe she his\n', "q line 2 is 'he she his'; wanted is four words"),
        (': family\n', 'q holds no questions; wanted are categories and lines of four words'),
    ],
)
def test_what_is_no_set_of_analogies_is_refused_in_one_line(tmp_path, text, message):
    path = write(tmp_path / 'q', text)
    with pytest.raises(ValueError) as error:
        read_analogies(path)
    assert str(error.value) == f'{tmp_path}/{message}'


def test_united_sets_hold_each_pair_of_an_earlier_set_once():
    more = [('cat', 'tiger', 1.0), ('cup', 'mug', 2.0), ('mug', 'cup', 3.0)]
    assert union(PAIRS, more) == [*PAIRS, *more[1:]]  # a set's own repetitions are part of it


def test_a_folder_is_read_as_far_as_it_goes(tmp_path):
    with pytest.raises(
        FileNotFoundError, match='holds no word sets; known are men.tsv, wordsim353_sim.tsv'
    ):
        read_sets(tmp_path)
    write(tmp_path / 'rg65.tsv', 'cord\tsmile\t0.02\n')
    write(tmp_path / 'wordsim353_sim.tsv', 'tiger\tcat\t7.35\n')  # without its other half
    assert read_sets(tmp_path) == ({'rg65': [('cord', 'smile', 0.02)]}, [])


def test_the_real_sets_have_their_known_sizes(real_data):
    sets = read_sets(real_data / 'words')
    sizes = {name: len(pairs) for name, pairs in sets.similarity.items()}
    assert sizes == {'men': 3000, 'wordsim353': 352, 'simlex999': 999, 'rg65': 65}
    assert len(sets.analogies) == 19544
    assert len({category for category, *_ in sets.analogies}) == 14
    assert ('money', 'bank', 8.5) in sets.similarity['wordsim353']
    top = {name: max(score for *_, score in pairs) for name, pairs in sets.similarity.items()}
    assert top == {'men': 50.0, 'wordsim353': 10.0, 'simlex999': 9.8, 'rg65': 3.94}
