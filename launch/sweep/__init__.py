"""Many runs: the points of a sweep, and how they are launched. Never imports jax.

sweep                    the whole of it
points                   which runs there are, and how far each has come
grouping                 runs that differ in their seed alone, put into one launch
local, progress, slurm   worker processes on this machine, and jobs of Slurm
"""
