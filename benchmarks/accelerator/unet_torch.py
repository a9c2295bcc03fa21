"""The same U-Net by PyTorch and diffusers, where they are installed: eager, then compiled.

The configuration is that of `benchmarks.unet`, channels_last, with fused Adam and an average of the
parameters. What is compiled comes last, as it may not be done within the box. On a CPU it is a
small network, eager alone.
"""

import importlib.util
import time

from benchmarks.accelerator.clock import seconds_a_step, timed
from benchmarks.accelerator.setting import Add, Setting, Skipped

BATCH = 128
STEPS = 10
SMALL_BATCH = 4
SMALL_STEPS = 2
DECAY = 0.9999


def measure(setting: Setting, add: Add) -> None:
    """The stage."""
    for package in ('torch', 'diffusers'):
        if importlib.util.find_spec(package) is None:
            raise Skipped(f'{package} is not installed')
    import torch

    if not setting.small and not torch.cuda.is_available():
        raise Skipped('PyTorch sees no GPU here')
    torch.backends.cuda.matmul.allow_tf32 = True  # which is what XLA makes of float32
    torch.backends.cudnn.allow_tf32 = True
    add('PyTorch', torch.__version__)
    for compiled in (False,) if setting.small else (False, True):
        for dtype in ('bfloat16', 'float32'):
            measure_case(add, dtype, compiled, setting.small)


def measure_case(add: Add, dtype: str, compiled: bool, small: bool) -> None:
    """Train and sampling steps in one dtype."""
    batch = SMALL_BATCH if small else BATCH
    train, sample, wait = steps_of(dtype == 'bfloat16', compiled, small)
    what = f'PyTorch, {"compiled" if compiled else "eager"}, {dtype}'
    for kind, step in (('train step', train), ('sampling step', sample)):
        began = time.perf_counter()
        timed(step)
        wait()
        first = time.perf_counter() - began

        def call(steps, step=step):
            for _ in range(steps):
                step()
            wait()

        seconds = seconds_a_step(call, SMALL_STEPS if small else STEPS)
        add(f'{what}, {kind}', 1e3 * seconds, 'ms', f'batch {batch}; the first took {first:.0f} s')


def small_network():
    """Two levels of 8 x 8 images, as the stages of the U-Net have them at the small size."""
    import diffusers

    return diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        down_block_types=('DownBlock2D', 'AttnDownBlock2D'),
        up_block_types=('AttnUpBlock2D', 'UpBlock2D'),
        layers_per_block=1,
        attention_head_dim=None,
        norm_num_groups=8,
        dropout=0.1,
    )


def steps_of(cast: bool, compiled: bool, small: bool):
    """A train step, a sampling step, and what returns when both are done."""
    import torch

    from benchmarks.unet import torch_network

    device = 'cpu' if small else 'cuda'
    network = small_network() if small else torch_network()
    network = network.to(device, memory_format=torch.channels_last)
    average = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = torch.optim.Adam(network.parameters(), 2e-4, fused=True)
    batch, side = (SMALL_BATCH, 8) if small else (BATCH, 32)
    x = torch.randn(batch, 3, side, side, device=device).to(memory_format=torch.channels_last)
    t = torch.randint(1000, (batch,), device=device)
    forward = torch.compile(network) if compiled else network

    def predict():
        with torch.autocast(device, torch.bfloat16, enabled=cast):
            return forward(x, t).sample

    def train():
        network.train()
        optimizer.zero_grad()
        torch.mean(torch.square(predict().float() - x)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=not small)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, list(network.parameters()), 1 - DECAY)

    @torch.no_grad()
    def sample():
        network.eval()
        predict()

    def wait():
        if device == 'cuda':
            torch.cuda.synchronize()

    return train, sample, wait
