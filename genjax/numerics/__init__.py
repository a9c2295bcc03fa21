"""Formulas that several algorithms need, each once; they import types and device means alone.

Each is imported from its module: `gaussians`, `kmeans`, `likelihoods`, `moments`, `normals`,
`products`, `svd`, `texts`, `triangular`, `uniforms`.
"""
