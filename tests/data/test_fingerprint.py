"""The fingerprint of data: a run is not resumed on data that would give other numbers."""

import shutil

import numpy as np
import pytest

from genjax.data.images.sets import images
from genjax.data.resident import with_fingerprints
from genjax.data.tables import table
from genjax.data.text import read_corpus
from genjax.data.text.excerpts import excerpts, passage
from launch.__main__ import main
from launch.run import rundir
from launch.run.planning import plan
from tests.data.images.tiny_sets import MNIST_FILES, idx, tiny_mnist

TEXT = ['the cat sat on the mat', 'the dog sat on the cat', 'a dog and a cat'] * 40


def test_other_fingerprints_change_the_fingerprint_and_no_batch():
    data = table(np.arange(12.0).reshape(6, 2), batch=2)
    changed = [with_fingerprints(data, *others) for others in [('a',), ('b',), ('a', 'b')]]
    assert len({data.train.fingerprint, *(other.train.fingerprint for other in changed)}) == 4
    np.testing.assert_array_equal(changed[0].train[3]['x'], data.train[3]['x'])


def serve_excerpts(corpus, test):
    return excerpts(corpus, batch=2, steps=20, epochs=1, seed=0, test=test)


def serve_passage(corpus, test):
    return passage(corpus, batch=2, steps=20, test=test)


@pytest.mark.parametrize('serve', [serve_excerpts, serve_passage])
def test_a_text_is_known_by_its_words_their_counts_and_what_is_held_out(serve):
    corpus = read_corpus(TEXT, min_count=1)
    words, counts = corpus.vocabulary
    renamed = corpus._replace(vocabulary=corpus.vocabulary._replace(words=('thy', *words[1:])))
    recounted = corpus._replace(vocabulary=corpus.vocabulary._replace(counts=counts + 1))
    shorter = corpus._replace(ids=corpus.ids[:-6])
    pairs = [
        (corpus, corpus),
        (renamed, corpus),
        (recounted, corpus),
        (corpus, shorter),
        (corpus, None),
    ]
    assert len({serve(*pair).train.fingerprint for pair in pairs}) == 5
    again = serve(read_corpus(TEXT, min_count=1), corpus)
    assert serve(corpus, corpus).train.fingerprint == again.train.fingerprint


def test_a_table_is_known_by_its_test_rows():
    rows = np.arange(12.0).reshape(6, 2)
    tests = [None, {'x': rows}, {'x': rows[::-1]}]
    for batch in (None, 3):
        assert len({table(rows, batch=batch, test=test).train.fingerprint for test in tests}) == 3


def begin(argv):
    """Claims the directory of a run as the launcher does; returns the fingerprint of its data."""
    planned = plan(argv)
    fingerprint = planned.experiment.data.train.fingerprint
    rundir.claim(planned.workdir, planned.flags.exp, planned.identity, fingerprint, {})
    return fingerprint


def assert_refused(argv, began, capsys):
    planned = plan(argv)
    now = planned.experiment.data.train.fingerprint
    manifest = rundir.read(planned.workdir / 'manifest.json')
    capsys.readouterr()
    assert main(argv) == 2
    refusal = f'workdir run began on the data {began}, and these are {now}\n'
    assert capsys.readouterr() == ('', refusal)
    assert now != began
    assert rundir.read(planned.workdir / 'manifest.json') == manifest


def test_a_changed_vocabulary_is_refused_on_resume(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = [
        '--exp=ngram_file',
        '--config.corpus=text',
        '--config.held_out=60',
        '--config.batch=8',
        '--workdir=run',
    ]
    text = '\n'.join(TEXT)
    (tmp_path / 'text').write_text(text)
    began = begin(argv)
    (tmp_path / 'text').write_text(text.replace('mat', 'rug'))  # the same ids of other words
    assert_refused(argv, began, capsys)


@pytest.mark.parametrize('split', [0, 1], ids=['train', 'test'])
@pytest.mark.parametrize('resident', [True, False])
def test_a_set_prepared_anew_from_other_images_has_another_fingerprint(
    split, resident, place, tmp_path
):
    def fingerprint():
        limit = 2**30 if resident else 0
        data = images('mnist', batch=2, seed=0, data_dir=str(tmp_path), resident_bytes=limit)
        return data.train.fingerprint

    splits, files = tiny_mnist(np.random.default_rng(0))
    place(tmp_path, files)
    first = fingerprint()
    assert fingerprint() == first

    image, _ = splits[split]
    other = idx(image ^ np.uint8(1))  # a file of the same size
    shutil.rmtree(tmp_path / 'mnist')
    place(tmp_path, files | {MNIST_FILES[2 * split]: other})
    assert fingerprint() != first

    shutil.rmtree(tmp_path / 'mnist')
    place(tmp_path, files)
    assert fingerprint() == first


def test_a_changed_prepared_set_is_refused_on_resume(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = [
        '--exp=autoencoder_mnist',
        f'--data_dir={tmp_path}',
        '--config.batch=8',
        '--config.known=16',
        '--workdir=run',
    ]
    splits, files = tiny_mnist(np.random.default_rng(0))
    place(tmp_path, files)
    began = begin(argv)

    test_image, _ = splits[1]
    other = idx(test_image ^ np.uint8(1))  # a bit of every test pixel
    shutil.rmtree(tmp_path / 'mnist')
    place(tmp_path, files | {MNIST_FILES[2]: other})
    assert_refused(argv, began, capsys)
