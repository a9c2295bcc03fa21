"""A page of one's own, outside of the tree: launched, swept, replayed and recorded by its path."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from launch.__main__ import main
from launch.cli import catalogue
from launch.replay import main as replay
from launch.run import rundir, source_files
from launch.status import main as status
from launch.sweep import local
from launch.viewer.page import page as page_of_runs
from launch.viewer.reading import find_runs

ROOT = pathlib.Path(__file__).parents[3]
HELPER = 'my_rates'  # a neighbour, which the page imports
DONE = f'test/loss {4.5 * 0.5**8:.6g} at step 4\n'  # of the toy


@pytest.fixture
def page(tmp_path_factory, monkeypatch):
    """The toy as mine/walk.py, with a neighbour, in a folder that is no working directory."""
    mine = tmp_path_factory.mktemp('mine')
    toy = (ROOT / 'tests/experiments/toy.py').read_text()
    toy = toy.replace('import os\n', f'import os\n\nfrom {HELPER} import RATE\n', 1)
    toy = toy.replace('rate=0.5', 'rate=RATE')
    (mine / 'walk.py').write_text(f'{toy}\n\ndef sweep():\n    return [{{"seed": 1}}]\n')
    (mine / f'{HELPER}.py').write_text('RATE = 0.5\n')
    monkeypatch.setattr(sys, 'path', list(sys.path))
    yield mine / 'walk.py'
    sys.modules.pop(HELPER, None)


def launches(run):
    return rundir.read(run / 'manifest.json')['launches']


def test_it_trains_and_is_named_by_its_stem_in_a_directory_of_the_current_folder(
    page, folder, capsys
):
    shutil.copytree(page.parent, folder / 'near')
    assert main(['--exp', 'near/walk.py']) == 0
    (run,) = (folder / 'runs').iterdir()
    assert run.name.startswith('walk-')
    assert capsys.readouterr().out == f'runs/{run.name}: {DONE}'
    absolute = str(folder / 'near/walk.py')
    assert launches(run)[0]['flags'] == ['--exp', absolute]
    manifest = rundir.read(run / 'manifest.json')
    assert (manifest['experiment'], manifest['page']) == ('walk', absolute)
    for mode in ('evaluate', 'sample'):
        assert main(['--exp=near/walk.py', f'--mode={mode}']) == 0
    assert [launch['flags'][0] for launch in launches(run)[1:]] == [f'--exp={absolute}'] * 2


def test_status_and_the_page_of_runs_show_it(page, folder, capsys):
    assert main([f'--exp={page}', '--workdir=a']) == 0
    capsys.readouterr()
    assert status(['a']) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ['a', 'done', '4/4']
    text = page_of_runs(find_runs([folder / 'a']), folder)
    assert '<title>1 run: walk</title>' in text and f'<span>--exp={page}</span>' in text


def test_its_files_are_recorded_by_their_contents_wherever_they_lie(page, folder, capsys):
    files = source_files.files('walk', page)
    assert {'walk.py', f'{HELPER}.py', 'genjax/base.py', 'launch/__main__.py'} <= files.keys()
    assert not [name for name in files if name.startswith('experiments/toy')]
    shutil.copytree(page.parent, folder / 'elsewhere')
    assert source_files.files('walk', folder / 'elsewhere/walk.py') == files

    line = [f'--exp={page}', '--workdir=a']
    assert main([*line, '--until=2']) == 0
    with open(page.with_name(f'{HELPER}.py'), 'a') as source:
        source.write('# changed\n')
    capsys.readouterr()
    assert main(line) == 0
    says = f'workdir a: the source is not what it was last trained with: {HELPER}.py\n'
    assert capsys.readouterr().err == says


def test_a_run_of_it_is_replayed_from_any_folder_and_not_without_the_page(
    page, folder, monkeypatch, capsys
):
    assert main([f'--exp={page}', '--workdir=a']) == 0
    monkeypatch.chdir(page.parent)
    capsys.readouterr()
    assert replay([str(folder / 'a'), '--steps=4']) == 0
    assert 'equal to the bit: steps 1 to 4' in capsys.readouterr().out
    page.unlink()
    assert replay([str(folder / 'a')]) == 2
    assert capsys.readouterr() == ('', f'--exp={page} is no file\n')


def test_a_page_that_was_moved_goes_on_and_another_of_its_name_does_not(page, folder, capsys):
    assert main([f'--exp={page}', '--workdir=a', '--until=2']) == 0
    shutil.copytree(page.parent, folder / 'other')
    other = folder / 'other/walk.py'
    capsys.readouterr()
    assert main([f'--exp={other}', '--workdir=a']) == 2
    assert capsys.readouterr().err == f'workdir a belongs to {page}, not to {other}\n'
    page.unlink()
    assert main([f'--exp={other}', '--workdir=a']) == 0
    assert rundir.read(folder / 'a/manifest.json')['page'] == str(other)


def test_an_experiment_of_the_tree_and_a_page_of_its_name_do_not_share_a_directory(
    page, folder, capsys
):
    toy = page.with_name('toy.py')
    shutil.copy(page, toy)
    assert main(['--exp=toy', '--workdir=a', '--until=2']) == 0
    capsys.readouterr()
    assert main([f'--exp={toy}', '--workdir=a']) == 2
    says = f'workdir a belongs to the experiment toy, not to {toy}\n'
    assert capsys.readouterr().err == says


def test_the_path_of_a_page_in_the_tree_is_its_name(folder):
    path = ROOT / 'tests/experiments/toy.py'
    assert catalogue.anywhere(['--exp', str(path)]) == ['--exp', 'toy']
    assert catalogue.anywhere([f'--exp={path}', '--config.x=a.py']) == [
        '--exp=toy',
        '--config.x=a.py',
    ]


def test_a_sweep_of_it_is_checked(page, folder, capsys):
    assert main([f'--exp={page}', '--sweep=own', '--sweep=walk.rate=0.1,0.2', '--dry_run']) == 0
    lines = [line.split('  ') for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines] == [f'seed=1, walk.rate={rate}' for rate in (0.1, 0.2)]
    assert all(line[0].startswith('runs/walk-') for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize('flags', [['--workers=2'], ['--vmap'], ['--seeds=0:2']])
def test_workers_in_other_processes_and_programs_of_several_seeds_know_it(flags, page, folder):
    """By a path that is relative to where it is launched."""
    words = flags if '--seeds=0:2' in flags else ['--sweep=seed=0:2', *flags]
    shutil.copytree(page.parent, folder / 'near')
    command = [sys.executable, '-m', 'launch', '--exp=near/walk.py', *words]
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    runs = find_runs([folder / 'runs'])
    assert [run.status for run in runs] == ['done'] * 2
    assert {run.config['seed'] for run in runs} == {0, 1}


WRONG = {  # content, or None for no file and ... for a folder -> what is said
    None: '--exp=PAGE is no file',
    ...: '--exp=PAGE is no file',
    'def get_config(:\n': '--exp=PAGE does not parse: PAGE, line 1: invalid syntax',
    'import mine_torn\n': '--exp=PAGE does not parse: FOLDER/mine_torn.py, line 2: '
    "'(' was never closed",
    'def build(config):\n    return None\n': '--exp=PAGE has no function get_config; '
    'a page has get_config and build',
    'def get_config():\n    return None\n\n\nbuild = 3\n': '--exp=PAGE has no function build; '
    'a page has get_config and build',
}


@pytest.mark.parametrize('content', WRONG, ids=map(str, range(len(WRONG))))
def test_what_is_no_page_is_refused_in_a_line(
    content, folder, tmp_path_factory, monkeypatch, capsys
):
    mine = tmp_path_factory.mktemp('mine')
    (mine / 'mine_torn.py').write_text('\nprint(\n')
    page = mine / 'wrong.py'
    if content is ...:
        page.mkdir()
    elif content is not None:
        page.write_text(content)
    monkeypatch.setattr(sys, 'path', list(sys.path))
    says = WRONG[content].replace('PAGE', str(page)).replace('FOLDER', str(mine))
    monkeypatch.setattr(local, 'accelerators', lambda: contextlib.nullcontext(list))
    for more in ([], ['--sweep=seed=0:2'], ['--seeds=0:2'], ['--mode=evaluate']):
        assert main([f'--exp={page}', *more]) == 2
        assert capsys.readouterr() == ('', f'{says}\n')
    assert not list(folder.iterdir())


def test_a_manifest_of_before_there_were_pages_is_read_as_it_was(folder):
    assert main(['--exp=toy', '--workdir=a']) == 0
    manifest = json.loads((folder / 'a/manifest.json').read_text())
    assert 'page' not in manifest and manifest['launches'][0]['flags'] == [
        '--exp=toy',
        '--workdir=a',
    ]
    assert list(manifest) == ['experiment', 'config', 'data', 'launches']
