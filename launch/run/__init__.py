"""One run: planned from a command line, trained, evaluated, sampled from, rebuilt and replayed.

plan, planning           a checked command line, and how it is built
actions, seeds           what is done with one plan, or with several as one program
rebuild, replay          a run planned again from its directory, and its steps taken again
rundir, lock             the run directory, and who may write to it
The others are what these need; each says in its first line what that is.
"""
