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

from collections.abc import Sequence

from launch.cli import environment, readers
from launch.cli.refusal import Refused
from launch.cli.words import Option, only, parsed

OPTIONS = {
    '-o': Option('folder', readers.path),
    '--average': Option('average'),
    '--format': Option('form'),
}


def main(argv: Sequence[str]) -> int:
    """Carries out one command line and returns its exit code."""
    return environment.answer(argv, __doc__, _export)


def _export(argv):
    names, values = parsed(argv, OPTIONS)
    run = only(names, 'RUN', 'a run directory')
    if 'folder' not in values:
        raise Refused('-o is missing; it takes a folder')
    # Not at the top: jax reads the environment that is prepared below when it is imported.
    from launch.run import export

    print(export.write(export.Request(run=run, **values)))
    return 0


if __name__ == '__main__':
    environment.prepare()
    environment.run_program(main)
