"""A text that every installation has: the docstrings of the packages that genjax requires, as
English sentences."""

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
    """The sentences of the packages' docstrings, each once: packages as given, files by path, as
    they stand there.

    Packages are found and parsed but not imported. Those that are not installed are passed over,
    and so are tests and files that this Python cannot parse.
    """
    seen = set()
    for package in packages:
        for file in _files(package):
            for docstring in _docstrings(file):
                fresh = [sentence for sentence in _sentences(docstring) if sentence not in seen]
                seen.update(fresh)
                yield from dict.fromkeys(fresh)


def _files(package: str) -> list[pathlib.Path]:
    spec = importlib.util.find_spec(package)
    folders = [pathlib.Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    files = {path.relative_to(folder): path for folder in folders for path in folder.rglob('*.py')}
    is_test = lambda name: {'test', 'tests'} & set(name.parts) or name.stem.endswith('_test')
    return [
        files[name] for name in sorted(files, key=pathlib.PurePath.as_posix) if not is_test(name)
    ]


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
    yield from _within(tree)


def _within(node: ast.AST) -> Iterator[str]:
    """The docstring of a module, class or function and of those that stand in its body."""
    docstring = ast.get_docstring(node, clean=False)
    if docstring:
        yield docstring
    for inner in node.body:
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _within(inner)


def _sentences(docstring: str) -> Iterator[str]:
    text = FENCED.sub('\n\n', inspect.cleandoc(docstring))
    text = UNDERLINE.sub('', LITERAL.sub(r'\1\2\n\n', EXAMPLE.sub('\n\n', text)))
    for paragraph in PARAGRAPH.split(text):
        yield from SENTENCE.split(' '.join(paragraph.split()))
