"""The command line: flags and overrides read, experiments found, refusals said. Never imports jax.

flags, slurm_options     the flags there are, and what they need and exclude
overrides, flat          values of a config, as text and by dotted key
catalogue                the experiments, in the tree and outside of it
environment              what a process is given before jax is imported
refusal                  errors of one line
"""
