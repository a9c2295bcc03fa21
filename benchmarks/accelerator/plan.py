"""The stages, most important first, and their time boxes."""

from typing import NamedTuple


class Stage(NamedTuple):
    """A measurement in a process of its own."""

    name: str
    function: str  # module:function, called with (setting, add, *arguments)
    seconds: float  # of its box
    arguments: tuple = ()


def _stage(name, function, seconds, *arguments):
    return Stage(name, f'benchmarks.accelerator.{function}', seconds, arguments)


CHIP = _stage('chip', 'chip:measure', 45)

# It needs no accelerator, and goes on beside the first stages, which need little else.
DATA = _stage('data', 'data:prepare', 240)

# Stages of one group run at the same time: what they find is no time.
GROUPS = (
    (_stage('unet_bfloat16', 'unet:measure', 170, 'bfloat16'),),
    (_stage('ddpm_cifar_cold', 'launches:measure', 170, 'ddpm', 'cold'),),
    (_stage('ddpm_cifar_warm', 'launches:measure', 50, 'ddpm', 'warm'),),
    (_stage('word2vec', 'words:measure', 80),),
    (_stage('vae', 'autoencoders:measure', 60),),
    (_stage('em', 'em:measure', 60),),
    (_stage('dcgan', 'dcgan:measure', 60),),
    (_stage('unet_float32', 'unet:measure', 120, 'float32'),),
    (
        _stage('resume', 'resume:measure', 90),
        _stage('reproduce', 'reproduce:measure', 240),
    ),
    (_stage('unet_torch', 'unet_torch:measure', 140),),
    (_stage('flow_cifar_cold', 'launches:measure', 130, 'flow', 'cold'),),
    (_stage('flow_cifar_warm', 'launches:measure', 50, 'flow', 'warm'),),
)

STAGES = {stage.name: stage for stage in (CHIP, DATA, *(s for group in GROUPS for s in group))}

TOTAL = 530  # seconds of all boxes together, by default; what comes after takes a few more
CPU_BOXES = 2  # times the seconds of a box at the small size
LEAST = 15  # seconds, below which a stage is not begun
