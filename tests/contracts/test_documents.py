"""What the documents name exists: every link, and every file of the tree in code quotes."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ('*.md', 'docs/*.md', 'tests/*.md', 'benchmarks/*.md')
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r'\]\(([^)#]+)\)')
FILE = re.compile(r'`((?:genjax|launch|tests|experiments|benchmarks|docs)/[\w/]+\.\w+)`')


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_exist(document):
    text = document.read_text('utf-8')
    links = [link for link in LINK.findall(text) if not link.startswith('http')]
    missing = [link for link in links if not (document.parent / link).exists()]
    for file in FILE.findall(text):
        there = [folder for folder in (ROOT, document.parent) if (folder / file).exists()]
        missing += [] if there else [file]
    assert not missing


def test_the_lecture_has_its_seventeen_topics():
    rows = re.findall(r'^\| (\d+) \|', (ROOT / 'docs/lecture.md').read_text('utf-8'), re.M)
    assert [int(row) for row in rows] == list(range(1, 18))
