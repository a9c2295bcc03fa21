"""Who may import whom, as the design says, at every depth."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# What each folder may import of genjax, each entry a module or a folder. A folder may import
# itself.
ALLOWED = {
    'genjax/training': {'base', 'parallel', 'waiting', 'compiling'},
    'genjax/numerics': {'base', 'parallel'},
    'genjax/algorithms': {'base', 'parallel', 'averages', 'descent', 'counting', 'numerics'},
    'genjax/networks': {'base', 'parallel'},
    'genjax/data': {'base', 'parallel', 'home', 'waiting'},
    'genjax/metrics': {'base', 'parallel'},
    'genjax/probes': {'base', 'parallel', 'metrics', 'compiling'},
    'genjax/weights': {'base', 'parallel', 'descent', 'networks'},
    'experiments': {
        'base',
        'parallel',
        'averages',
        'training',
        'algorithms',
        'networks',
        'numerics',
        'data',
        'metrics',
        'probes',
        'weights',
    },
    'launch': {'base', 'home', 'waiting', 'training', 'descent', 'weights'},
}
# The modules that lie in genjax itself.
ROOT_MODULES = {
    'base': set(),
    'home': set(),
    'waiting': set(),
    'compiling': set(),
    'parallel': {'base'},
    'averages': set(),
    'descent': {'base', 'parallel', 'averages'},
    'counting': {'base', 'parallel'},
}
# Folders of genjax/algorithms, and its modules: none imports another.
ALGORITHMS = ROOT / 'genjax' / 'algorithms'
# The rooms of launch, each with the others that it may import.
ROOMS = {
    'cli': set(),
    'viewer': {'cli'},
    'run': {'cli', 'viewer'},
    'sweep': {'cli', 'run'},
}
WITHOUT_JAX = ('cli', 'sweep', 'viewer')
# The one name of launch that genjax imports, inside a function: genjax.load(RUN) opens a run.
OPENS_RUNS = (ROOT / 'genjax' / '__init__.py', 'launch.run.saved.open_saved')
LEVELS = 7  # edges on the longest chain of imports inside launch, from a program to a leaf


def modules():
    folders = ('genjax', 'experiments', 'launch')
    return [path for folder in folders for path in sorted((ROOT / folder).rglob('*.py'))]


def rule_of(path):
    """(folder, what it may import of genjax) of the nearest folder that has a rule."""
    own = path.relative_to(ROOT)
    if own.parts[:-1] == ('genjax',):
        return 'genjax', ROOT_MODULES.get(own.stem, set())
    folder = next((str(parent) for parent in own.parents if str(parent) in ALLOWED), None)
    assert folder is not None, f'{own} lies in a folder without a rule'
    inside = {folder.removeprefix('genjax/')} if folder.startswith('genjax/') else set()
    return folder, ALLOWED[folder] | inside


def imported(path):
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path} imports relatively'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_to_the_design(path):
    folder, allowed = rule_of(path)
    for name in imported(path):
        top, *rest = name.split('.')
        if top == 'genjax':
            assert rest[0] in allowed, f'{path} imports {name}'
        if top in ('experiments', 'launch', 'tests'):
            shared = folder == 'experiments' and rest[0].startswith(
                '_'
            )  # what pages share is no page
            assert folder == 'launch' or shared or (path, name) == OPENS_RUNS, (
                f'{path} imports {name}'
            )
        assert top != 'tensorflow', f'{path} imports TensorFlow'


@pytest.mark.parametrize(
    'path', sorted(ALGORITHMS.rglob('*.py')), ids=lambda path: str(path.relative_to(ALGORITHMS))
)
def test_no_algorithm_imports_another(path):
    own = path.relative_to(ALGORITHMS).parts[0].removesuffix('.py')
    others = {
        name.split('.')[2] for name in imported(path) if name.startswith('genjax.algorithms.')
    }
    assert others <= {own}


def launch_imports():
    """{module of launch: the modules of launch that it imports}."""
    files = sorted((ROOT / 'launch').rglob('*.py'))
    names = {
        '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path
        for path in files
    }
    found = {}
    for name, path in names.items():
        targets = {
            wanted if wanted in names else wanted.rpartition('.')[0] for wanted in imported(path)
        }
        found[name] = {
            target for target in targets if target in names and target not in ('launch', name)
        }
    return found


def test_rooms_of_launch_import_only_those_below_them():
    for module, targets in launch_imports().items():
        room = module.split('.')[1] if module.count('.') > 1 else None
        if room is None:
            continue
        rooms = {target.split('.')[1] for target in targets}
        assert rooms <= ROOMS[room] | {room}, f'{module} imports {sorted(targets)}'


def test_launch_has_few_levels():
    graph = launch_imports()

    def level(module, above=()):
        assert module not in above, f'{module} imports itself by way of {above}'
        below = (1 + level(target, (*above, module)) for target in graph[module])
        return max(below, default=0)

    levels = {module: level(module) for module in graph}
    assert max(levels.values()) <= LEVELS, {
        module: depth for module, depth in levels.items() if depth > LEVELS
    }


HEAVY = {'jax', 'flax', 'optax', 'orbax'}


@pytest.mark.parametrize('room', WITHOUT_JAX)
def test_what_lists_reads_and_plans_never_imports_jax(room):
    paths = sorted((ROOT / 'launch' / room).glob('*.py'))
    for path in paths:
        assert not HEAVY & {name.split('.')[0] for name in imported(path)}, path
    modules = ', '.join(f'launch.{room}.{path.stem}' for path in paths if path.stem != '__init__')
    code = f'import sys, {modules}; print(sorted({HEAVY} & set(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == '[]\n', done.stdout + done.stderr


def test_genjax_by_itself_imports_nothing_that_takes_time():
    code = 'import sys, genjax; print([name for name in sys.modules if name.count("jax")])'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "['genjax']\n", done.stdout + done.stderr


def test_the_rules_see_an_import_that_breaks_them(tmp_path):
    (tmp_path / 'x.py').write_text(
        'def f():\n    from genjax.train import train\n    import launch.flags\n'
    )
    assert list(imported(tmp_path / 'x.py')) == ['genjax.train.train', 'launch.flags']
