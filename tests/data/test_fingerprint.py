"""The fingerprint of data in the manifest: whatever a run's numbers depend on, once changed, is
refused on resume."""

import shutil

import numpy as np
import pytest

from genjax.data.images.sets import images
from genjax.data.resident import marked
from genjax.data.tables import table
from genjax.data.text.corpus import read_corpus
from genjax.data.text.excerpts import excerpts, passage
from launch.__main__ import main
from launch.run import rundir
from launch.run.planning import plan
from tests.data.images.tiny_sets import MNIST_FILES, idx, tiny_mnist

TEXT = ['the cat sat on the mat', 'the dog sat on the cat', 'a dog and a cat'] * 40


def test_a_mark_tells_more_and_changes_no_batch():
    data = table(np.arange(12.0).reshape(6, 2), batch=2)
    prints = [marked(data, *told).train.fingerprint for told in (('a',), ('b',), ('a', 'b'))]
    assert len({data.train.fingerprint, *prints}) == 4
    np.testing.assert_array_equal(marked(data, 'a').train[3]['x'], data.train[3]['x'])


@pytest.mark.parametrize(
    'serve',
    [
        lambda corpus, test: excerpts(corpus, batch=2, steps=20, epochs=1, seed=0, test=test),
        lambda corpus, test: passage(corpus, batch=2, steps=20, test=test),
    ],
)
def test_a_text_is_told_by_its_words_their_counts_and_what_is_held_out(serve):
    corpus = read_corpus(TEXT, min_count=1)
    words, counts = corpus.vocabulary
    renamed = corpus._replace(vocabulary=corpus.vocabulary._replace(words=('thy', *words[1:])))
    counted = corpus._replace(vocabulary=corpus.vocabulary._replace(counts=counts + 1))
    shorter = corpus._replace(ids=corpus.ids[:-6])
    pairs = [
        (corpus, corpus),
        (renamed, corpus),
        (counted, corpus),
        (corpus, shorter),
        (corpus, None),
    ]
    assert len({serve(*pair).train.fingerprint for pair in pairs}) == 5
    assert (
        serve(corpus, corpus).train.fingerprint
        == serve(read_corpus(TEXT, min_count=1), corpus).train.fingerprint
    )


def test_a_table_is_told_by_its_test_rows():
    rows = np.arange(12.0).reshape(6, 2)
    of = lambda test, batch: table(rows, batch=batch, test=test).train.fingerprint
    for batch in (None, 3):
        assert len({of(None, batch), of({'x': rows}, batch), of({'x': rows[::-1]}, batch)}) == 3


def resumed(argv):
    """Begins a run as the launcher does, up to its first step."""
    planned = plan(argv)
    told = planned.experiment.data.train.fingerprint
    rundir.claim(planned.workdir, planned.flags.exp, planned.identity, told, {})
    return told


def assert_refused(argv, began, capsys):
    now = plan(argv).experiment.data.train.fingerprint
    manifest = rundir.read(plan(argv).workdir / 'manifest.json')
    capsys.readouterr()
    assert main(argv) == 2
    assert capsys.readouterr() == (
        '',
        f'workdir run began on the data {began}, and these are {now}\n',
    )
    assert now != began and rundir.read(plan(argv).workdir / 'manifest.json') == manifest


def test_a_changed_vocabulary_is_refused_on_resume(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = [
        '--exp=ngram_file',
        '--config.corpus=text',
        '--config.held_out=60',
        '--config.batch=8',
        '--workdir=run',
    ]
    (tmp_path / 'text').write_text('\n'.join(TEXT))
    began = resumed(argv)
    (tmp_path / 'text').write_text(
        '\n'.join(TEXT).replace('mat', 'rug')
    )  # the same ids of other words
    assert_refused(argv, began, capsys)


@pytest.mark.parametrize('part', [0, 1], ids=['train', 'test'])
@pytest.mark.parametrize('resident', [True, False])
def test_a_set_prepared_anew_from_other_images_has_another_fingerprint(
    part, resident, place, tmp_path
):
    of = lambda: images(
        'mnist', batch=2, seed=0, data_dir=str(tmp_path), resident_bytes=resident * 2**30
    )
    parts, files = tiny_mnist(np.random.default_rng(0))
    place(tmp_path, files)
    began = of().train.fingerprint
    assert of().train.fingerprint == began
    shutil.rmtree(tmp_path / 'mnist')
    place(
        tmp_path, files | {MNIST_FILES[2 * part]: idx(parts[part][0] ^ np.uint8(1))}
    )  # files of the same size
    assert of().train.fingerprint != began
    shutil.rmtree(tmp_path / 'mnist')
    place(tmp_path, files)
    assert of().train.fingerprint == began


def test_a_changed_prepared_set_is_refused_on_resume(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = [
        '--exp=autoencoder_mnist',
        f'--data_dir={tmp_path}',
        '--config.batch=8',
        '--config.known=16',
    ]
    argv.append('--workdir=run')
    parts, files = tiny_mnist(np.random.default_rng(0))
    place(tmp_path, files)
    began = resumed(argv)
    shutil.rmtree(tmp_path / 'mnist')
    place(
        tmp_path, files | {MNIST_FILES[2]: idx(parts[1][0] ^ np.uint8(1))}
    )  # a bit of every test pixel
    assert_refused(argv, began, capsys)
