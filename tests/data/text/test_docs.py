"""The embedded text: of a small package, where every sentence is known, and of the real ones."""

import subprocess
import sys

import pytest

from genjax.data.text import docs, read_corpus
from genjax.data.text.docs import docstrings

FILES = {
    'b.py': '''
"""Second file. It has two sentences."""
raise ImportError('this must not run')
''',
    'a.py': r'''
"""First file,
on two lines.

A paragraph of its own.
"""

class Outer:
    """Outer has
        an indented line.

    Parameters
    ----------
    x : int
        Its \d escape is nobody's business.
    """

    async def method(self):
        """Second file."""

        def inner():
            """An inner one."""

def silent():
    'not a docstring in three quotes, but one'

def example():
    """An example follows.

    >>> code()
    output

    Text again::

        x = code()

        y = more_code()

    After the block.

    .. code-block:: python

       z = code()

    .. versionadded:: 1.0
       The slice x[::2] is no block.

    ```python
    fenced = code()
    ```
    The end."""
''',
    'broken.py': '"""Never seen."""\nprint "Python 2"\n',
    'null.py': '"""Never seen."""\0',
    'sub/c.py': '"""First file, on two lines."""\ndef f():\n    """Deep! Really?"""\n',
    'tests/x.py': '"""Never seen."""',
    'x_test.py': '"""Never seen."""',
}
SENTENCES = [
    'First file, on two lines.',
    'A paragraph of its own.',
    'Outer has an indented line.',
    'Parameters',
    "x : int Its \\d escape is nobody's business.",
    'Second file.',
    'An inner one.',
    'not a docstring in three quotes, but one',
    'An example follows.',
    'Text again',
    'After the block.',
    '.. versionadded:: 1.0 The slice x[::2] is no block.',
    'The end.',
    'It has two sentences.',
    'Deep!',
    'Really?',
]


def test_sentences_of_a_package_in_order_each_once(tmp_path, monkeypatch):
    for name, content in FILES.items():
        path = tmp_path / 'little_package' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    assert list(docstrings(['no_such_package', 'little_package'])) == SENTENCES
    assert 'little_package' not in sys.modules


def test_a_real_package_reads_as_english():
    corpus = read_corpus(docstrings(['optax']))
    assert corpus.vocabulary.words[0] == 'the'
    assert {'gradient', 'optimizer', 'learning', 'rate'} <= set(corpus.vocabulary.words[:200])


@pytest.mark.slow
def test_every_installation_has_a_million_words_in_one_order():
    """Another program reads the same, which hashes strings by another seed."""
    corpus = read_corpus('docs')
    assert (corpus.ids >= 0).sum() > 1_000_000 and len(corpus.vocabulary.words) > 5_000
    code = 'from genjax.data.text import read_corpus; print(read_corpus("docs").fingerprint)'
    printed = subprocess.check_output([sys.executable, '-c', code], text=True)
    assert printed.strip() == corpus.fingerprint


def test_the_packages_are_those_required(request):
    """A requirement of genjax is a source of text, or one of the few that have none to give."""
    lines = (request.config.rootpath / 'requirements.in').read_text().splitlines()
    required = {line.split('#')[0].strip() for line in lines} - {''}
    imported = {
        'PIL': 'pillow',
        'absl': 'absl-py',
        'orbax': 'orbax-checkpoint',
        'sklearn': 'scikit-learn',
    }
    named = {imported.get(package, package.replace('_', '-')) for package in docs.PACKAGES}
    assert required - named == {
        'bokeh',  # required since, and the records of the text stay
        'diffrax',
        'hypothesis',
        'importlib-resources',
        'jinja2',
        'pyarrow',
        'pytest',
        'pytest-xdist',
        'regex',
        'ruff',
        'submitit',
    }
    assert named <= required and sorted(docs.PACKAGES) == list(docs.PACKAGES)
