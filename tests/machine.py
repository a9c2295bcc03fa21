"""The machine that the tests see: what every machine has, whatever else is installed on the one at
hand.

A test that passes only where Slurm, a browser or PyTorch happens to be installed tells nothing of a
machine that has Python alone. So these are hidden, as are the user's home, locale and settings, and
all cores but two, from every test that does not ask for them by a marker or a fixture.
"""

import os
import pathlib
import shutil
import sys

import pytest

PROGRAMS = pathlib.Path(__file__).with_name(
    'machine_programs.txt'
)  # one name a line: all that tests may start
MODULES = (
    'IPython',
    'cv2',
    'diffusers',
    'gensim',
    'hmmlearn',
    'nltk',
    'selenium',
    'tensorboard',
    'tensorflow',
    'torch',
    'torch_fidelity',
    'torchvision',
    'transformers',
)
# Of the user or of a scheduler, not of the machine.
SETTINGS = (
    'JAX_COORDINATOR',
    'LANG',
    'LC_',
    'MPLCONFIGDIR',
    'NPROC',
    'SLURM_',
    'TFDS_',
    'TPU_',
    'XDG_',
)
CORES = 2


def optional(name: str) -> bool:
    """Whether a module belongs to a package of MODULES."""
    return name.partition('.')[0] in MODULES


class Finder:
    """A finder of modules that finds no optional ones."""

    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if optional(name) else self.finder.find_spec(name, path, target)


class Machine:
    """Hides and shows again what is optional."""

    def __init__(self, folder: pathlib.Path):
        self.patch = pytest.MonkeyPatch()
        self.programs = folder / 'programs'
        self.modules = folder / 'modules'
        self.home = folder / 'home'
        for made in (self.programs, self.modules, self.home):
            made.mkdir()
        for name in PROGRAMS.read_text().split():
            found = shutil.which(name)
            if found:
                (self.programs / name).symlink_to(found)
        for name in MODULES:
            # For processes that tests start; where it is found first, the module is as if it were
            # not there.
            text = f'raise ModuleNotFoundError("No module named {name!r}", name={name!r})\n'
            (self.modules / f'{name}.py').write_text(text)

    def hide(self):
        """Leaves the programs of PROGRAMS, an empty home, the packages of requirements.txt and two
        cores."""
        self.patch.undo()
        self.patch.setenv('PATH', str(self.programs))
        self.patch.setenv('HOME', str(self.home))
        self.patch.setenv('PYTHONPATH', str(self.modules), prepend=os.pathsep)
        for name in list(os.environ):
            if name.startswith(SETTINGS):
                self.patch.delenv(name)
        for name in list(sys.modules):
            if optional(name):
                self.patch.delitem(sys.modules, name)
        self.patch.setattr(sys, 'meta_path', [Finder(finder) for finder in sys.meta_path])
        self.patch.setattr(os, 'cpu_count', lambda: CORES)
        if hasattr(os, 'sched_getaffinity'):
            whole = os.sched_getaffinity

            def of_two_cores(pid):
                return set(sorted(whole(pid))[:CORES])

            self.patch.setattr(os, 'sched_getaffinity', of_two_cores)

    def show(self):
        """Everything as it was."""
        self.patch.undo()
