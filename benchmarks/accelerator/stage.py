"""The process of one stage: python -m benchmarks.accelerator.stage NAME OUT WORK ...

It writes a row as soon as something is measured, so that whatever ends it costs no row, and ends
itself, with all that it has started, when the program that started it is gone.
"""

import argparse
import importlib
import json
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from benchmarks.accelerator.plan import STAGES
from benchmarks.accelerator.setting import Add, Row, Setting, Skipped, rows_file


def command(name: str, setting: Setting) -> list[str]:
    """The command line of a stage."""
    words = [sys.executable, '-m', 'benchmarks.accelerator.stage', name]
    words += [f'--out={setting.out}', f'--work={setting.work}', f'--deadline={setting.deadline}']
    if setting.data is not None:
        words.append(f'--data={setting.data}')
    if setting.small:
        words.append('--small')
    return words


def read(argv: Sequence[str]) -> tuple[str, Setting]:
    """The name and the setting of a command line."""
    parser = argparse.ArgumentParser('python -m benchmarks.accelerator.stage')
    parser.add_argument('name', choices=STAGES)
    parser.add_argument('--out', type=pathlib.Path, required=True)
    parser.add_argument('--work', type=pathlib.Path, required=True)
    parser.add_argument('--data', type=pathlib.Path)
    parser.add_argument('--small', action='store_true')
    parser.add_argument('--deadline', type=float, required=True)
    flags = vars(parser.parse_args(argv))
    name = flags.pop('name')
    return name, Setting(**flags)


def writer(path: pathlib.Path) -> Callable[[Row], None]:
    """A function that appends a row to a file, which it makes anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('')

    def write(row):
        with path.open('a', encoding='utf-8') as file:
            file.write(json.dumps(row) + '\n')

    return write


def adder(write: Callable[[Row], None]) -> Add:
    """add(what, value, unit, note), which also prints what it adds."""

    def add(what: str, value: float | str, unit: str = '', note: str = '') -> None:
        number = value if isinstance(value, str) else float(value)
        write({'what': what, 'value': number, 'unit': unit, 'note': note})
        print(what, value, unit, note, flush=True)

    return add


def run(name: str, setting: Setting) -> None:
    """Measures; a stage that lacks something leaves a row that says so."""
    stage = STAGES[name]
    write = writer(rows_file(setting.out, name))
    module, _, function = stage.function.partition(':')
    try:
        measure = getattr(importlib.import_module(module), function)
        measure(setting, adder(write), *stage.arguments)
    except Skipped as reason:
        write({'skipped': str(reason)})


def end_with(parent: int) -> None:
    """Has this process's group killed once it has another parent."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == '__main__':
    end_with(os.getppid())
    run(*read(sys.argv[1:]))
