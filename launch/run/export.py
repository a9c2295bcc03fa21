"""The weights of a run in files: safetensors, or the folder of a pipeline of diffusers."""

import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import genjax.weights.files as weight_files
from genjax.weights.diffusers_unet import Pipeline, pipeline_files, to_diffusers
from genjax.weights.states import has_fit, weights_of
from launch.cli import catalogue
from launch.cli.refusal import Refused, nearest, refusing
from launch.run.saved import Saved, open_saved

AVERAGE = 'average/'
Files = dict[str, bytes]  # by their paths in the folder


class Request(NamedTuple):
    """What is asked for, see launch/export.py."""

    run: str
    folder: pathlib.Path
    average: str | None = None
    form: str = 'safetensors'


def write(asked: Request) -> str:
    """Writes the weights of a run, and says what was written.

    Raises:
      Refused: there is no such run, checkpoint or average; it has no weights of this form; or the
        folder holds something else.
    """
    if asked.form not in FORMS:
        raise Refused(f'--format is {asked.form}; {nearest(asked.form, FORMS)}')
    with refusing(OSError, about=f'-o {asked.folder}'):
        _check_folder(asked.folder)
    saved = open_saved(asked.run, average=asked.average)
    if not has_fit(saved.state):
        raise Refused(
            f'{asked.run} is of {saved.plan.name}, which has no parameters that gradient descent '
            f'trains'
        )
    files = FORMS[asked.form](saved)
    with refusing(OSError, about=f'-o {asked.folder}'):
        for name, content in files.items():
            _write_whole(asked.folder / name, content)
    size = sum(map(len, files.values()))
    return (
        f'{asked.folder}: {saved.plan.name} at step {saved.step}, {", ".join(files)}, '
        f'{size / 1e6:,.1f} MB'
    )


def _safetensors(saved: Saved) -> Files:
    metadata = {'experiment': saved.plan.name, 'step': str(saved.step), 'format': 'genjax'}
    return {
        weight_files.NATIVE: weight_files.to_safetensors(weights_of(saved.state), metadata),
        'config.json': _json(saved.plan.identity),
    }


def _diffusers(saved: Saved) -> Files:
    describe = getattr(catalogue.load(saved.plan.flags.exp), 'pipeline', None)
    if describe is None:
        raise Refused(
            f'--format is diffusers, and {saved.plan.name} describes no pipeline; '
            f'a page does that in pipeline(config), as ddpm_cifar'
        )
    with refusing(ValueError, about=f'--format is diffusers, and {saved.plan.name}'):
        pipeline: Pipeline = describe(saved.plan.config)
        settings = pipeline_files(pipeline)
        averages = {
            name.removeprefix(AVERAGE): x
            for name, x in weights_of(saved.state).items()
            if name.startswith(AVERAGE)
        }
        weights = to_diffusers(averages)
    content = weight_files.to_safetensors(weights, {'format': 'pt'})
    files = {name: _json(values) for name, values in settings.items()}
    return files | {f'unet/{weight_files.DIFFUSERS}': content}


FORMS: dict[str, Callable[[Saved], Files]] = {
    'safetensors': _safetensors,
    'diffusers': _diffusers,
}


def _check_folder(folder: pathlib.Path) -> None:
    """Sees that files of an export may be written to a folder: a new one, an empty one, or one of
    an earlier export."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise Refused(f'-o is {folder}, which is no folder')
    there = [path.name for path in folder.iterdir() if not path.name.startswith('.')]
    is_export = weight_files.NATIVE in there or 'model_index.json' in there
    if there and not is_export:
        raise Refused(f'-o is {folder}, which holds something else; it takes a new folder')


def _json(value) -> bytes:
    return (json.dumps(value, indent=1) + '\n').encode()


def _write_whole(path: pathlib.Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_bytes(content)
    partial.replace(path)
