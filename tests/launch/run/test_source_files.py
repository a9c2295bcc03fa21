"""The source of a run: which files it is, that their digest depends on their contents alone, that a
change is told."""

import pathlib
import shutil
import subprocess
import sys

import pytest

import experiments
from launch.__main__ import main
from launch.replay import main as replay
from launch.run import rundir, source_files
from launch.run.comparison import compare_environments
from launch.viewer import status
from launch.viewer.page import page
from launch.viewer.reading import find_runs, read_run
from launch.viewer.runs import source_changes

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A copy of the tree, which the digests are of."""
    for folder in ('genjax', 'launch', 'experiments'):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns('__pycache__')
        )
    monkeypatch.setattr(source_files, 'ROOT', tmp_path)
    monkeypatch.setattr(experiments, '__path__', [str(tmp_path / 'experiments')])
    return tmp_path


@pytest.mark.slow
def test_they_are_all_that_python_imports():
    code = (
        'import launch.__main__, launch.run.actions, launch.sweep.sweep, '
        'experiments.vae_digits, sys; '
    )
    code += (
        'print(*(module.__file__ for module in sys.modules.values() if getattr(module, '
        '"__file__", None)))'
    )
    output = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    paths = [pathlib.Path(path) for path in output.split()]
    own = [ROOT / name for name in ('genjax', 'launch', 'experiments')]
    wanted = {
        str(path.relative_to(ROOT))
        for path in paths
        if any(folder in path.parents for folder in own)
    }
    found = source_files.files('vae_digits')
    assert len(wanted) > 30 and wanted <= found.keys()
    assert (
        'experiments/pca_digits.py' not in found and 'genjax/algorithms/ngram/ngram.py' not in found
    )


def test_the_digest_is_of_contents_alone(checkout, monkeypatch):
    here = source_files.files('vae_digits')
    with monkeypatch.context() as original:
        original.setattr(source_files, 'ROOT', ROOT)
        original.setattr(experiments, '__path__', [str(ROOT / 'experiments')])
        there = source_files.files('vae_digits')
    assert here == there and source_files.digest(here) == source_files.digest(
        dict(reversed(there.items()))
    )
    for path in checkout.rglob('*.py'):
        path.touch()
    (checkout / 'genjax/algorithms/__pycache__').mkdir()
    assert source_files.files('vae_digits') == here


@pytest.mark.parametrize(
    ('file', 'counts'),
    [
        ('experiments/vae_digits.py', True),
        ('genjax/algorithms/vae/vae.py', True),
        ('genjax/base.py', True),
        ('genjax/networks/__init__.py', True),
        ('launch/sweep/sweep.py', True),  # imported within a function
        ('experiments/pca_digits.py', False),
        ('genjax/algorithms/ngram/ngram.py', False),
        ('launch/page.py', False),
    ],
)
def test_a_file_that_changes_is_named_if_the_run_imports_it(file, counts, checkout):
    before = source_files.files('vae_digits')
    with open(checkout / file, 'a') as source:
        source.write('# changed\n')
    after = source_files.files('vae_digits')
    assert source_files.differing(before, after) == [file] * counts
    assert (source_files.digest(before) != source_files.digest(after)) == counts


def test_what_is_imported_no_more_or_for_the_first_time_differs_too(checkout):
    before = source_files.files('vae_digits')
    (checkout / 'experiments/_mine.py').write_text('from experiments import _other\n')
    (checkout / 'experiments/_other.py').write_text('')
    with open(checkout / 'experiments/vae_digits.py', 'a') as source:
        source.write(
            '\n\ndef later():\n    from ._mine import anything\n    import not_here.at_all\n'
        )
    names = ['experiments/_mine.py', 'experiments/_other.py', 'experiments/vae_digits.py']
    assert source_files.differing(before, source_files.files('vae_digits')) == names
    (checkout / 'experiments/_other.py').write_text('does not parse (')
    assert 'experiments/_other.py' in source_files.files('vae_digits')


@pytest.fixture
def pages(folder, tmp_path_factory, monkeypatch):
    """A folder of experiments that may be changed."""
    place = tmp_path_factory.mktemp('pages')
    for path in (ROOT / 'tests/experiments').glob('*.py'):
        shutil.copy(path, place)
    monkeypatch.setattr(experiments, '__path__', [str(place)])
    return place


def edit(path):
    with open(path, 'a') as source:
        source.write('# changed\n')


def sources(run):
    return [launch['source'] for launch in rundir.read(run / 'manifest.json')['launches']]


@pytest.mark.slow
def test_a_launch_with_another_source_goes_on_and_says_so(pages, folder, capsys):
    line = ['--exp=toy', '--workdir=a']
    assert main([*line, '--until=2']) == 0
    assert main([*line, '--until=2']) == 0
    edit(pages / 'other.py')
    assert main([*line, '--until=3']) == 0
    assert capsys.readouterr().err == ''
    edit(pages / 'toy.py')
    says = 'workdir a: the source is not what it was last trained with: experiments/toy.py\n'
    assert main([*line, '--mode=evaluate']) == 0
    assert capsys.readouterr().err == says
    assert main(line) == 0
    assert capsys.readouterr().err == says
    assert main([*line, '--mode=sample']) == 0
    assert capsys.readouterr().err == 'a: step 4\n'

    first, *same, evaluated, other, last = sources(folder / 'a')
    assert all(source['digest'] == first['digest'] and 'files' not in source for source in same)
    assert other['digest'] == evaluated['digest'] == last['digest'] != first['digest']
    assert (
        other['changed'] == evaluated['changed'] == ['experiments/toy.py'] and 'changed' not in last
    )
    assert source_files.differing(first['files'], other['files']) == ['experiments/toy.py']

    run = read_run(folder / 'a')
    assert source_changes(run) == {4: ['experiments/toy.py']}  # of those that train
    assert status.table([run]).splitlines()[2:] == [
        f'{folder}/a: launch 4 changed experiments/toy.py'
    ]
    assert 'launch 4: experiments/toy.py</li>' in page(find_runs([folder / 'a']), folder)
    assert replay(['a']) == 0
    said = capsys.readouterr().out
    assert (
        f'source.digest is {first["digest"]} (launch 1, 2, 3) and {last["digest"]} (launch 4) '
        'there and' in said
    )
    assert 'source.files differ: experiments/toy.py (launch 1, 2, 3)' in said


def test_a_run_of_before_there_were_digests_goes_on_without_a_word(pages, folder, capsys):
    line = ['--exp=toy', '--workdir=a']
    assert main([*line, '--until=2']) == 0
    manifest = rundir.read(folder / 'a/manifest.json')
    for source in (None, {'commit': 'abc', 'dirty': True}):
        launches = [launch | {'source': source} for launch in manifest['launches']]
        rundir.write(folder / 'a/manifest.json', manifest | {'launches': launches})
        assert main([*line, '--until=2']) == 0
        assert capsys.readouterr().err == '' and 'files' in sources(folder / 'a')[-1]


def test_changes_that_were_not_committed_are_a_difference_only_where_there_is_no_digest():
    def launch(digest, **files):
        return {
            'flags': ['--exp=toy'],
            'source': {'commit': 'c', 'dirty': True}
            | ({'digest': digest, 'files': files} if digest else {}),
        }

    assert compare_environments([launch('1', a='x')], launch('1', a='x')) == {}
    assert (
        compare_environments([launch('')], launch(''))['source.dirty']
        == 'is True there and True here'
    )
    found = compare_environments(
        [launch('1', a='x', b='y'), launch('2', a='z', b='y')], launch('3', a='z', c='y')
    )
    assert found == {
        'source.digest': 'is 1 (launch 1) and 2 (launch 2) there and 3 here',
        'source.files': 'differ: a (launch 1), b (launch 1, 2), c (launch 1, 2)',
    }
