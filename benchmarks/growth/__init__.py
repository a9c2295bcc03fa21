"""How cost grows: time, memory and what devices exchange against the size of a problem.

`python -m benchmarks.growth` measures and draws; `subjects` lists what is varied, each subject has
a module of its own.
"""
