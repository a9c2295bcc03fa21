"""`make accelerator`: everything measured on whatever accelerator is there, a time box for each.

`plan` has the stages and their boxes, `boxes` gives each a process of its own, and `stage` is that
process. A stage is a function (setting, add) that adds a row for each thing measured as soon as it
is known; `report` and `pictures` make of the rows what is left to look at.
"""
