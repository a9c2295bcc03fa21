"""A text that every installation has: the docstrings of the packages that genjax requires."""

import ast
import importlib.util
import inspect
import pathlib
import re
import warnings
from collections.abc import Iterator, Sequence

PACKAGES = (
    'PIL',
    'absl',
    'array_record',
    'flax',
    'grain',
    'jax',
    'matplotlib',
    'ml_collections',
    'numpy',
    'optax',
    'orbax',
    'requests',
    'safetensors',
    'scipy',
    'sklearn',
    'tensorboardX',
    'tensorflow_datasets',
    'threadpoolctl',
)

# What is not English: fenced code, an example with its output up to the next empty line, what is
# indented under a line that ends in two colons, the underline of a title.
FENCED = re.compile(r'```.*?(```|\Z)', re.DOTALL)
EXAMPLE = re.compile(r'^ *>>>.*?(\n\s*\n|\Z)', re.DOTALL | re.MULTILINE)
LITERAL = re.compile(
    r'^( *)(?:\.\. [\w-]+:: *\w*|(.*)::)\n(?:(?:\1 +\S.*| *)(?:\n|\Z))+', re.MULTILINE
)
UNDERLINE = re.compile(r'^ *[-=~^*]{3,} *$', re.MULTILINE)

PARAGRAPH = re.compile(r'\n\s*\n')
SENTENCE = re.compile(r'(?<=[.!?])\s+(?=[A-Z])')


def docstrings(packages: Sequence[str] = PACKAGES) -> Iterator[str]:
    """The English sentences of the packages' docstrings, each once.

    Packages come as given, their files by path, and docstrings in the order of the file. Packages
    are parsed but not imported. Those that are not installed are skipped, and so are tests and
    files that this Python cannot parse.
    """
    known = set()
    for package in packages:
        for file in _files(package):
            for docstring in _docstrings(file):
                new = [sentence for sentence in _sentences(docstring) if sentence not in known]
                known.update(new)
                yield from dict.fromkeys(new)


def _files(package: str) -> list[pathlib.Path]:
    """The files of a package that are no tests, by path."""
    spec = importlib.util.find_spec(package)
    locations = (spec and spec.submodule_search_locations) or ()
    folders = [pathlib.Path(location) for location in locations]
    files = {path.relative_to(folder): path for folder in folders for path in folder.rglob('*.py')}
    names = sorted(files, key=pathlib.PurePath.as_posix)
    return [files[name] for name in names if not _is_test(name)]


def _is_test(name: pathlib.PurePath) -> bool:
    return bool({'test', 'tests'} & set(name.parts)) or name.stem.endswith('_test')


def _docstrings(file: pathlib.Path) -> Iterator[str]:
    source = file.read_bytes()
    if b'"""' not in source and b"'''" not in source:  # parsing takes most of the time
        return
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about escapes in strings of others
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return
    yield from _docstrings_of_node(tree)


def _docstrings_of_node(node: ast.AST) -> Iterator[str]:
    """The docstring of a module, class or function, and those of its body."""
    docstring = ast.get_docstring(node, clean=False)
    if docstring:
        yield docstring
    for inner in node.body:
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings_of_node(inner)


def _sentences(docstring: str) -> Iterator[str]:
    text = FENCED.sub('\n\n', inspect.cleandoc(docstring))
    text = EXAMPLE.sub('\n\n', text)
    text = LITERAL.sub(r'\1\2\n\n', text)
    text = UNDERLINE.sub('', text)
    for paragraph in PARAGRAPH.split(text):
        yield from SENTENCE.split(' '.join(paragraph.split()))
