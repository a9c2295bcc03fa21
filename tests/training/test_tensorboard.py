"""TensorBoard's hparams plugin finds the config of each run, and its metrics among the run's
scalars."""

import json
import pathlib
import warnings

import pytest

from genjax.training.report import open_report
from genjax.training.tensorboard import write_hparams
from launch.__main__ import main

CONFIG = {'seed': 0, 'rate': 0.5, 'fast': True, 'name': 'a', 'sizes': (1, 2), 'limit': None}


def launched(run: pathlib.Path, start: int, config):
    """What one launch of two steps leaves for TensorBoard."""
    run.mkdir(exist_ok=True)
    write_hparams(run, config)
    with open_report(run, start=start, steps=4) as report:
        report.write(start + 2, {'test/loss': config['seed'] + 1 / (start + 2)})


def test_every_launch_of_a_run_writes_the_same_file(tmp_path):
    for _ in range(2):
        write_hparams(tmp_path, CONFIG)
        (path,) = tmp_path.iterdir()
        content = path.read_bytes()
    write_hparams(tmp_path, CONFIG)
    assert path.read_bytes() == content


@pytest.mark.slow
def test_a_launch_writes_it(folder):
    assert main(['--exp=toy', '--workdir=a']) == 0
    assert main(['--exp=toy', '--workdir=a']) == 0
    (path,) = (folder / 'a').glob('*.hparams')
    assert b'walk.rate' in path.read_bytes()


@pytest.mark.peers
def test_tensorboard_shows_a_sweep(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of its own imports
        pytest.importorskip('tensorboard')
        from tensorboard.plugins.hparams import api_pb2
    for seed in range(2):
        for start in (0, 2):
            launched(tmp_path / f'run-{seed}', start, CONFIG | {'seed': seed})
    launched(tmp_path / 'other', 0, {'seed': 7, 'depth': 3})  # of another experiment
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        experiment, groups = shown(tmp_path, api_pb2)
    assert {info.name for info in experiment.hparam_infos} == {*CONFIG, 'depth'}
    assert 'test/loss' in [info.name.tag for info in experiment.metric_infos]
    assert len(groups) == 3  # a run launched twice stands there once
    rows = {group.sessions[0].name: group for group in groups}
    loss = {
        name: [m.value for m in row.metric_values if m.name.tag == 'test/loss']
        for name, row in rows.items()
    }
    assert loss == {
        'run-0': [pytest.approx(0.25)],
        'run-1': [pytest.approx(1.25)],
        'other': [pytest.approx(7.5)],
    }
    given = rows['run-1'].hparams
    assert (given['seed'].number_value, given['rate'].number_value, given['fast'].bool_value) == (
        1,
        0.5,
        True,
    )
    assert given['name'].string_value == 'a' and json.loads(given['sizes'].string_value) == [1, 2]


def shown(folder, api_pb2):
    """The experiment and its session groups, as the plugin's page asks the backend for them."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import backend_context, get_experiment, list_session_groups

    events = EventMultiplexer()
    events.AddRunsFromDirectory(str(folder))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(folder))
    backend = backend_context.Context(
        TBContext(data_provider=provider, logdir=str(folder), multiplexer=events)
    )
    asked = api_pb2.GetExperimentRequest(include_metrics=True)
    experiment = get_experiment.Handler(RequestContext(), backend, '', asked).run()
    statuses = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING, api_pb2.STATUS_SUCCESS]
    wanted = api_pb2.ListSessionGroupsRequest(
        slice_size=10, allowed_statuses=statuses, include_metrics=True
    )
    return experiment, list_session_groups.Handler(
        RequestContext(), backend, '', wanted
    ).run().session_groups
