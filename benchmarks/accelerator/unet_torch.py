"""The same U-Net by PyTorch and diffusers, where they are installed: eager, then compiled.

The configuration is that of `benchmarks.unet`, channels_last, with fused Adam and an average of the
parameters. What is compiled comes last, as it may not be done within the box.
"""

import importlib.util
import time

from benchmarks.accelerator.clock import seconds_a_step, timed
from benchmarks.accelerator.setting import Add, Setting, Skipped

BATCH = 128
STEPS = 10
DECAY = 0.9999


def measure(setting: Setting, add: Add) -> None:
    """The stage."""
    for package in ('torch', 'diffusers'):
        if importlib.util.find_spec(package) is None:
            raise Skipped(f'{package} is not installed')
    import torch

    if not torch.cuda.is_available():
        raise Skipped('PyTorch sees no GPU here')
    torch.backends.cuda.matmul.allow_tf32 = True  # which is what XLA makes of float32
    torch.backends.cudnn.allow_tf32 = True
    add('PyTorch', torch.__version__)
    for compiled in (False, True):
        for dtype in ('bfloat16', 'float32'):
            measure_case(add, dtype, compiled)


def measure_case(add: Add, dtype: str, compiled: bool) -> None:
    """Train and sampling steps in one dtype."""
    import torch

    train, sample = steps_of(dtype == 'bfloat16', compiled)
    what = f'PyTorch, {"compiled" if compiled else "eager"}, {dtype}'
    for kind, step in (('train step', train), ('sampling step', sample)):
        began = time.perf_counter()
        timed(step)
        torch.cuda.synchronize()
        first = time.perf_counter() - began

        def call(steps, step=step):
            for _ in range(steps):
                step()
            torch.cuda.synchronize()

        seconds = seconds_a_step(call, STEPS)
        add(f'{what}, {kind}', 1e3 * seconds, 'ms', f'batch {BATCH}; the first took {first:.0f} s')


def steps_of(cast: bool, compiled: bool):
    """A train step and a sampling step."""
    import torch

    from benchmarks.unet import torch_network

    network = torch_network().to('cuda', memory_format=torch.channels_last)
    average = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = torch.optim.Adam(network.parameters(), 2e-4, fused=True)
    x = torch.randn(BATCH, 3, 32, 32, device='cuda').to(memory_format=torch.channels_last)
    t = torch.randint(1000, (BATCH,), device='cuda')
    forward = torch.compile(network) if compiled else network

    def predict():
        with torch.autocast('cuda', torch.bfloat16, enabled=cast):
            return forward(x, t).sample

    def train():
        network.train()
        optimizer.zero_grad()
        torch.mean(torch.square(predict().float() - x)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=True)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, list(network.parameters()), 1 - DECAY)

    @torch.no_grad()
    def sample():
        network.eval()
        predict()

    return train, sample
