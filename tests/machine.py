"""The machine that the tests see: what every machine has, whatever else is installed on this one.

A test that passes only where Slurm, a browser or PyTorch is installed says nothing of a machine
that has Python alone. So these are hidden, as are the user's home, locale and settings, and all
cores but two, from every test that does not ask for them by a marker or a fixture.
"""

import importlib.abc
import os
import pathlib
import shutil
import sys

import pytest

# One name a line: all programs that tests may start.
PROGRAMS = pathlib.Path(__file__).with_name('machine_programs.txt')

# Packages that are hidden.
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

# How the variables begin that are hidden: those of the user or of a scheduler.
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


def is_hidden(name: str) -> bool:
    """Whether a module belongs to a package of MODULES."""
    return name.partition('.')[0] in MODULES


class Finder:
    """A finder of modules that does not find the hidden ones."""

    def __init__(self, finder: importlib.abc.MetaPathFinder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if is_hidden(name) else self.finder.find_spec(name, path, target)


class Machine:
    """Hides what not every machine has, and shows it again."""

    def __init__(self, folder: pathlib.Path):
        """Makes the folders of programs, modules and an empty home, in an empty folder."""
        self.patch = pytest.MonkeyPatch()
        self.programs = folder / 'programs'
        self.modules = folder / 'modules'
        self.home = folder / 'home'
        for subfolder in (self.programs, self.modules, self.home):
            subfolder.mkdir()
        for name in PROGRAMS.read_text().split():
            program = shutil.which(name)
            if program:
                (self.programs / name).symlink_to(program)
        # For processes that tests start: modules that come first on their path, and cannot be
        # imported.
        for name in MODULES:
            text = f'raise ModuleNotFoundError("No module named {name!r}", name={name!r})\n'
            (self.modules / f'{name}.py').write_text(text)

    def hide(self):
        """Leaves the programs of PROGRAMS, an empty home, required packages and two cores."""
        self.patch.undo()
        self.patch.setenv('PATH', str(self.programs))
        self.patch.setenv('HOME', str(self.home))
        self.patch.setenv('PYTHONPATH', str(self.modules), prepend=os.pathsep)
        for name in list(os.environ):
            if name.startswith(SETTINGS):
                self.patch.delenv(name)
        for name in list(sys.modules):
            if is_hidden(name):
                self.patch.delitem(sys.modules, name)
        self.patch.setattr(sys, 'meta_path', [Finder(finder) for finder in sys.meta_path])
        self.patch.setattr(os, 'cpu_count', lambda: CORES)
        if hasattr(os, 'sched_getaffinity'):
            all_cores = os.sched_getaffinity

            def first_cores(pid):
                return set(sorted(all_cores(pid))[:CORES])

            self.patch.setattr(os, 'sched_getaffinity', first_cores)

    def show(self):
        """Shows everything as it was."""
        self.patch.undo()
