"""The one trainer: it folds batches into a state, and whatever it gains every algorithm gains."""

from genjax.base import Data
from genjax.training.experiment import Experiment, Keys, Labelled, Probe, run_keys
from genjax.training.generation import Generator, generate, generator
from genjax.training.inspection import ask, evaluate, probe, restore
from genjax.training.mesh import by_jit, by_pmap, make_mesh
from genjax.training.observe import NonFinite
from genjax.training.replicas import replicas
from genjax.training.schedule import Every
from genjax.training.seeds import Unlike, require_alike, take_same_steps, train_seeds
from genjax.training.state import abstract_state, check
from genjax.training.train import train
from genjax.training.values import Values

__all__ = [
    'Data',
    'Every',
    'Experiment',
    'Generator',
    'Keys',
    'Labelled',
    'NonFinite',
    'Probe',
    'Unlike',
    'Values',
    'abstract_state',
    'ask',
    'by_jit',
    'by_pmap',
    'check',
    'evaluate',
    'generate',
    'generator',
    'make_mesh',
    'probe',
    'replicas',
    'require_alike',
    'restore',
    'run_keys',
    'take_same_steps',
    'train',
    'train_seeds',
]
