"""python -m launch.export RUN -o DIR: the weights of a run in a file, with its config beside them.

RUN            a run directory, in which nothing is written; RUN:STEP or RUN:best for another
               checkpoint than the last
-o DIR         a new folder, or one of an earlier export
--average A    in the place of the average that the run samples by: none, or the name of another
--format F     safetensors (default): model.safetensors, with parameters and average by their paths,
               and config.json; or diffusers: the folder of a DDPMPipeline, by the average

A run with --init_from DIR, or the file in it, begins with these weights.

Exit codes: 0 done; 2 refused, with nothing written.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from launch.cli import environment
from launch.cli.refusal import Refused

FLAGS = {'-o': 'folder', '--average': 'average', '--format': 'form'}


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    try:
        values = _read(argv)
        # Not at the top: jax reads the environment that is prepared below when it is imported.
        from launch.run import export

        asked = export.Request(**values)
        print(export.write(asked))
        return 0
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2


def _read(argv: Sequence[str]) -> dict[str, Any]:
    """What a command line asks for, as the fields of launch.run.export.Request."""
    values: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        name, equals, text = word.partition('=')
        if name in FLAGS:
            text = text if equals else next(words, '')
            if not text:
                raise Refused(f'{name} needs a value')
            values[FLAGS[name]] = text
        elif word.startswith('-') or 'run' in values:
            raise Refused(f'{word} is no flag; there are: RUN, {", ".join(FLAGS)}, --help')
        else:
            values['run'] = word
    if 'run' not in values:
        raise Refused('RUN is missing; it takes a run directory')
    if 'folder' not in values:
        raise Refused('-o is missing; it takes a folder')
    return values | {'folder': pathlib.Path(values['folder'])}


if __name__ == '__main__':
    environment.prepare()
    environment.run_program(main)
