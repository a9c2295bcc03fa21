"""`python -m benchmarks.accelerator`: whatever a stage does, the others are measured and kept."""

import json
import lzma
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.accelerator import __main__ as program
from benchmarks.accelerator import plan, report, stage
from benchmarks.accelerator.boxes import ROOT
from benchmarks.accelerator.plan import Stage
from genjax.data.text.planted import planted

WRITE = (
    'import json, os, sys, time\n'
    'def add(what, value):\n'
    '    with open({path!r}, "a") as file:\n'
    '        file.write(json.dumps(dict(what=what, value=value, unit="s", note="")) + "\\n")\n'
)
CODE = {
    'chip': 'add("platform", "gpu"); add("device", "H100")',
    'hangs': 'add("before", 1.0); time.sleep(600)',
    'dies': 'add("before", 2.0); os.kill(os.getpid(), 9)',
    'works': 'add("number", 3.0)',
    'twin': 'add("number", 4.0)',
}


def made(name, seconds=60.0):
    return Stage(name, '', seconds)


@pytest.fixture
def stages(monkeypatch):
    """Stages that are made up, in place of the plan's; returns the names that were begun.

    None of them needs CIFAR-10, so that the stage which prepares it is not begun.
    """
    groups = ((made('hangs', 1.0),), (made('dies'),), (made('works'), made('twin')))
    all_stages = [made('chip'), *(one for group in groups for one in group)]
    monkeypatch.setattr(plan, 'CHIP', all_stages[0])
    monkeypatch.setattr(plan, 'GROUPS', groups)
    monkeypatch.setattr(plan, 'STAGES', {one.name: one for one in [*all_stages, plan.DATA]})
    begun = []

    def command(name, setting):
        begun.append((name, setting.small))
        path = report.rows_file(setting.out, name)
        path.parent.mkdir(exist_ok=True)
        path.write_text('')
        return [sys.executable, '-S', '-c', WRITE.format(path=str(path)) + CODE[name]]

    monkeypatch.setattr(stage, 'command', command)
    return begun


def endings(out):
    return {name: outcome.ended for name, outcome in report.read(out).outcomes.items()}


def test_a_stage_that_hangs_or_dies_gets_its_line_and_costs_its_box_only(stages, tmp_path, capsys):
    assert program.main(['--out', str(tmp_path)]) == 2
    assert endings(tmp_path) == {
        'chip': 'done',
        'hangs': 'stopped: its 1 s were over',
        'dies': 'failed, SIGKILL, as where memory ran out: it said nothing',
        'works': 'done',
        'twin': 'done',
    }
    run = report.read(tmp_path)
    values = {name: outcome.rows[0]['value'] for name, outcome in run.outcomes.items()}
    assert values == {'chip': 'gpu', 'hangs': 1.0, 'dies': 2.0, 'works': 3.0, 'twin': 4.0}
    assert run.outcomes['hangs'].seconds > 1
    assert not run.small
    table = (tmp_path / 'table.md').read_text()
    assert '| hangs | before | 1 | s |  |' in table
    assert '*stopped: its 1 s were over*' in table
    assert 'not measured: hangs, dies; --stages hangs,dies goes on' in capsys.readouterr().out
    assert (tmp_path / 'stages.png').exists()


def test_stages_by_name_keep_what_is_there_of_others(stages, tmp_path):
    program.main(['--out', str(tmp_path), '--stages', 'works'])
    assert stages == [('chip', False), ('works', False)]
    program.main(['--out', str(tmp_path), '--stages', 'twin'])
    assert stages[2:] == [('twin', False)]
    assert list(endings(tmp_path)) == ['chip', 'works', 'twin']
    program.main(['--out', str(tmp_path), '--stages', 'chip'])
    assert endings(tmp_path)['works'] == 'done'


def test_what_is_no_stage_is_refused(stages, tmp_path, capsys):
    with pytest.raises(SystemExit):
        program.main(['--stages', 'works,wroks'])
    assert 'wroks is no stage; there are chip, hangs' in capsys.readouterr().err


def test_when_the_time_is_over_the_others_are_not_begun(stages, tmp_path, monkeypatch):
    """Less is left after the first stage than any stage is worth."""
    monkeypatch.setitem(CODE, 'chip', CODE['chip'] + '; time.sleep(1)')
    program.main(['--out', str(tmp_path), '--seconds', str(plan.LEAST + 0.5)])
    found = endings(tmp_path)
    assert found['chip'] == 'done'
    assert found['works'] == found['twin'] == report.NOT_BEGUN
    assert [name for name, _ in stages] == ['chip']


@pytest.mark.parametrize('platform', ['cpu', 'nothing'])
def test_sizes_are_small_on_a_cpu_and_where_nothing_is_known(
    platform, stages, tmp_path, monkeypatch
):
    code = {'cpu': 'add("platform", "cpu")', 'nothing': 'sys.exit(1)'}[platform]
    monkeypatch.setitem(CODE, 'chip', code)
    program.main(['--out', str(tmp_path), '--stages', 'works'])
    assert stages == [('chip', False), ('works', True)]
    assert report.read(tmp_path).small


def test_what_interrupts_it_leaves_what_was_measured(stages, tmp_path, monkeypatch):
    """By the signal of a scheduler whose time is over, while a stage is at work."""
    monkeypatch.setitem(CODE, 'works', 'add("number", 3.0); time.sleep(600)')
    handler = signal.getsignal(signal.SIGTERM)
    path = report.rows_file(tmp_path, 'works')
    begun = time.monotonic()

    def end(seconds):
        if path.exists() and path.read_text() or time.monotonic() - begun > 60:
            os.kill(os.getpid(), signal.SIGTERM)
        wait(seconds)

    wait = time.sleep
    monkeypatch.setattr(program.time, 'sleep', end)
    try:
        with pytest.raises(SystemExit):
            program.main(['--out', str(tmp_path), '--stages', 'works'])
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert endings(tmp_path) == {'chip': 'done', 'works': 'stopped: all was interrupted'}
    assert report.read(tmp_path).outcomes['works'].rows[0]['value'] == 3.0


@pytest.mark.slow
def test_all_of_it_runs_on_a_cpu(tmp_path):
    """At the small size, on a text that is made up; nothing but a checkout and packages."""
    data = tmp_path / 'data'
    (data / 'text').mkdir(parents=True)
    (data / 'words').mkdir()
    sentences, analogies = planted(0, 2000)
    (data / 'text' / 'corpus.txt.xz').write_bytes(lzma.compress('\n'.join(sentences).encode()))
    questions = ': capital\n' + '\n'.join(' '.join(words) for _, *words in analogies)
    (data / 'words' / 'questions-words.txt').write_text(questions)

    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'benchmarks.accelerator', '--out', str(out)]
    done = subprocess.run(
        [*command, '--data', str(data), '--seconds', '1500'],
        cwd=ROOT,
        env=os.environ | {'JAX_PLATFORMS': 'cpu'},
        capture_output=True,
        text=True,
    )
    logs = {path.stem: path.read_text()[-500:] for path in pathlib.Path(out, 'logs').iterdir()}
    assert done.returncode == 0, (done.stdout, done.stderr, logs)
    found = endings(out)
    assert {name for name, how in found.items() if how.startswith('skipped')} == {'unet_torch'}
    assert {name for name, how in found.items() if how == 'done'} == set(plan.STAGES) - {
        'unet_torch',
        'data',
    }

    rows = json.loads((out / 'accelerator.json').read_text())['outcomes']
    measured = {
        name: {row['what']: row['value'] for row in outcome['rows']}
        for name, outcome in rows.items()
    }
    for count in (1, 5, 20, 100):
        assert measured['unet_bfloat16'][f'train step, {count} in a call'] > 0
    assert measured['reproduce']['kl_fit'] in ('to the bit', 'within bounds')
    assert set(measured['resume'].values()) == {'to the bit'}
    assert measured['ddpm_cifar_cold']['first metric'] > 0
    assert measured['word2vec']['16 centres a step, rate'] > 0
    assert (out / 'kernels_bfloat16.md').exists()
    assert (out / 'steps_per_call.png').exists()
