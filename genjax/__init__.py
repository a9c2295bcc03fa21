"""Representation learning and generative models as pure functions: training is a fold.

base, parallel     the types, and what means the same on one device and on many
descent, counting  where a gradient becomes an update, and where a count does
averages           how an average of the parameters forgets
algorithms         how a state begins and how one batch changes it
training           the one trainer
numerics           formulas that several algorithms need
networks           flax modules
data               images, text, words and tables as batches
metrics, probes    numbers of arrays, and looks at a state
home               folders in the user's home
"""
