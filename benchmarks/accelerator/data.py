"""CIFAR-10 as TFDS prepares it, for the stages that launch experiments on it."""

import pathlib
import shutil
import stat
import subprocess
import sys
import time

from benchmarks.accelerator.setting import Add, Setting, Skipped, ended_file, require_data

NAME = 'cifar10'


def prepare(setting: Setting, add: Add) -> None:
    """The stage: links a set that is prepared, or prepares it by the data folder's own script."""
    start = time.monotonic()
    found = prepared_in(setting.data)
    if found is None:
        script, _ = require_data(setting, 'prepare_tfds.py', 'cifar10/cifar10_train.npz')
        making = setting.work / 'preparing'
        command = [sys.executable, str(script), str(making), '--only', NAME]
        subprocess.run(command, check=True)
        found = prepared_in(making)
    link(found, folder(setting))
    add('CIFAR-10 is prepared', time.monotonic() - start, 's', 'beside other stages')


def folder(setting: Setting) -> pathlib.Path:
    """What is given to the launcher as --data_dir."""
    return setting.work / 'tfds'


def prepared_in(data: pathlib.Path | None) -> pathlib.Path | None:
    """The folder of a version of the set that TFDS has prepared, in a folder of data or `tfds`
    there."""
    if data is None:
        return None
    for place in (data, data / 'tfds'):
        for info in sorted(place.glob(f'{NAME}/*/dataset_info.json')):
            return info.parent
    return None


def link(version: pathlib.Path, to: pathlib.Path) -> None:
    """Links the files of a prepared set into a folder that is read-only.

    What is decoded is then kept in the user's cache folder, which each launch has of its own, and
    not beside the files, where the next launch would find it.
    """
    making = to.with_name(f'{to.name}-making')
    shutil.rmtree(making, ignore_errors=True)
    inner = making / NAME / version.name
    inner.mkdir(parents=True)
    for file in version.iterdir():
        if file.is_file():
            (inner / file.name).symlink_to(file.resolve())
    making.rename(to)
    for path in (to / NAME / version.name, to / NAME):
        path.chmod(stat.S_IRUSR | stat.S_IXUSR)


def wait_for(setting: Setting) -> pathlib.Path:
    """The folder of the prepared set, once the stage has ended.

    Raises:
      Skipped: it has ended and left none.
    """
    ended = ended_file(setting.work, 'data')
    while not ended.exists():
        if time.time() > setting.deadline - 1:
            raise Skipped('no data: CIFAR-10 was not prepared in time')
        time.sleep(0.2)
    if not folder(setting).exists():
        raise Skipped('no data: CIFAR-10 was not prepared, see the stage data')
    return folder(setting)
