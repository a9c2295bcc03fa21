"""Who may import whom, as the design says."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FOLDERS = (
    'genjax/algorithms',
    'genjax/networks',
    'genjax/data',
    'genjax/metrics',
    'genjax',
    'experiments',
    'launch',
)

# The spine, each module with what it may import of genjax; a folder allows itself where it names itself.
SPINE = {
    'base': set(),
    'home': set(),
    'descent': {'base'},
    'counting': {'base'},
    'mesh': {'base'},
    'digest': {'base'},
    'checkpoint': {'base', 'digest'},
    'board': {'base'},
    'report': {'base', 'board'},
    'replicas': {'base'},
    'evaluation': {'base', 'mesh'},
    'contract': {'base', 'evaluation'},
    'fold': {'base', 'mesh'},
    'watch': {'base', 'mesh', 'checkpoint', 'report', 'evaluation'},
    'train': {'base', 'mesh', 'checkpoint', 'report', 'fold', 'watch', 'contract'},
    'replay': {'base', 'mesh', 'checkpoint', 'digest', 'report', 'fold', 'watch', 'train'},
    'joint': {'base', 'mesh', 'digest'},
    'together': {'base', 'mesh', 'checkpoint', 'report', 'fold', 'watch', 'train', 'joint'},
}
ALLOWED = {
    'genjax/algorithms': {'base', 'descent', 'counting'},
    'genjax/networks': {'base', 'networks'},
    'genjax/data': {'base', 'home', 'data'},
    'genjax/metrics': {'base', 'metrics'},
    'experiments': {'base', 'train', 'replicas', 'algorithms', 'networks', 'data', 'metrics'},
    'launch': {
        'base',
        'home',
        'train',
        'mesh',
        'checkpoint',
        'digest',
        'board',
        'replay',
        'report',
        'replicas',
        'together',
    },
}


def modules():
    return [path for folder in ('genjax', 'experiments', 'launch') for path in sorted((ROOT / folder).rglob('*.py'))]


def folder_of(path):
    """The nearest folder that has a rule, so that nothing escapes by moving into a folder of its own."""
    own = path.relative_to(ROOT).parent
    return str(next(folder for folder in (own, *own.parents) if str(folder) in FOLDERS))


def imported(path):
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path} imports relatively'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_to_the_design(path):
    folder = folder_of(path)
    if folder == 'genjax':
        assert path.parent == ROOT / 'genjax', f'{path} lies in a folder without a rule'
        allowed = SPINE.get(path.stem, set()) if path.stem != '__init__' else set()
    else:
        allowed = ALLOWED[folder]
    for name in imported(path):
        top, *rest = name.split('.')
        if top == 'genjax':
            assert rest[0] in allowed, f'{path.name} imports {name}'
        if top in ('experiments', 'launch', 'tests'):
            shared = folder == 'experiments' and rest[0].startswith('_')  # what pages share is no page
            assert folder == 'launch' or shared, f'{path.name} imports {name}'
        assert top != 'tensorflow', f'{path.name} imports TensorFlow'


def test_the_rules_see_an_import_that_breaks_them(tmp_path):
    (tmp_path / 'x.py').write_text('def f():\n    from genjax.train import train\n    import launch.flags\n')
    assert list(imported(tmp_path / 'x.py')) == ['genjax.train.train', 'launch.flags']
