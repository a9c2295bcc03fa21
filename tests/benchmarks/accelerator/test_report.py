"""The table and the JSON of what stages have left."""

import json

import pytest

from benchmarks.accelerator import report
from benchmarks.accelerator.boxes import DONE
from benchmarks.accelerator.report import Outcome, Run
from benchmarks.accelerator.setting import rows_file


def row(what, value, unit='', note=''):
    return {'what': what, 'value': value, 'unit': unit, 'note': note}


CHIP = [
    row('platform', 'gpu'),
    row('device', 'H100'),
    row('jax', '0.11.2'),
    row('commit', '13e811b'),
]
RUN = Run(
    '2026-11-27 10:00+00:00',
    False,
    123.4,
    {
        'chip': Outcome('chip', DONE, 12.0, 45.0, CHIP),
        'unet': Outcome(
            'unet', 'stopped: its 90 s were over', 90.0, 90.0, [row('step', 19.5, 'ms')]
        ),
        'words': Outcome('words', 'skipped, no data: a | b', 2.0, 80.0),
        'em': Outcome('em', DONE, 2.0, 80.0),
    },
)


def test_the_table_has_what_was_measured_and_what_went_wrong():
    lines = report.table(RUN).splitlines()
    assert lines[0] == '# Measured on H100'
    assert lines[2] == 'jax 0.11.2; commit 13e811b; 2026-11-27 10:00+00:00; 123 s.'
    assert '| unet | step | 19.5 | ms |  |' in lines
    assert '|  | *stopped: its 90 s were over* |  |  |  |' in lines
    assert '| words | *skipped, no data: a \\| b* |  |  |  |' in lines
    assert '| em | *nothing was measured* |  |  |  |' in lines
    assert '| unet | 90 | 90 | stopped: its 90 s were over |' in lines
    assert 'times say nothing' in report.subtitle(RUN._replace(small=True))


@pytest.mark.parametrize(
    'value, text',
    [
        (35_746_307.0, '35,746,307'),
        (19.5049, '19.5'),
        (2.19432, '2.194'),
        (0.00012345, '0.000123'),
        (0.0, '0'),
        (6300.0, '6,300'),
        (float('nan'), 'nan'),
        ('a|b', 'a\\|b'),
    ],
)
def test_numbers_have_four_digits(value, text):
    assert report.shown(value) == text


def test_what_is_written_is_read_again(tmp_path):
    assert report.read(tmp_path) is None
    report.write(RUN, tmp_path)
    assert report.read(tmp_path) == RUN
    assert (tmp_path / 'table.md').read_text() == report.table(RUN)
    assert json.loads((tmp_path / 'accelerator.json').read_text())['outcomes']['unet']['box'] == 90


def test_rows_are_read_but_for_a_torn_one(tmp_path):
    path = rows_file(tmp_path, 'unet')
    assert report.read_rows(tmp_path, 'unet') == []
    path.parent.mkdir()
    path.write_text(json.dumps(row('step', 19.5)) + '\n' + '{"what": "st')
    assert report.read_rows(tmp_path, 'unet') == [row('step', 19.5)]
    assert report.value_of(tmp_path, 'unet', 'step') == 19.5
    assert report.value_of(tmp_path, 'unet', 'other') is None


def test_a_stage_that_says_that_it_was_skipped_was_and_one_that_failed_failed():
    rows = [row('step', 1.0), {'skipped': 'no data'}]
    assert report.outcome_of('a', DONE, 1, 2, rows) == Outcome(
        'a', 'skipped, no data', 1, 2, rows[:1]
    )
    assert report.outcome_of('a', 'failed', 1, 2, rows).ended == 'failed'


def test_stages_are_missing_until_they_end_by_themselves():
    assert report.missing(RUN, ['chip', 'unet', 'words', 'never']) == ['unet', 'never']
