"""Algorithms: each a constructor that returns a `base.Algorithm`; none imports another.

autoencoder   h = f(x), r = g(h): denoising and sparse
autoregressive  p(x) by the chain rule, of a causal transformer
classifier    p(y | x) by maximum likelihood
cooccurrence  window counts, pointwise mutual information, SVD
density       a density fitted by either Kullback-Leibler divergence
diffusion/    DDPM: the process, samplers, the bound; flow maps, which take few steps
discrete_codes/  autoencoders of discrete codes: FSQ and VQ-VAE; a prior of their codes
drifting      a generator trained along a field of a kernel
flow/         normalizing flows: couplings, Glow's layers, autoregressive flows of tokens
gan/          players, games and penalties
hmm/          hidden Markov models by EM
masked_diffusion/  texts whose symbols are shown in random order
mixture/      Gaussian mixtures by EM
naive_bayes/  p(y) prod_d p(x_d | y) by counting
ngram/        n-gram language models
pca/          principal components in one pass
vae/          variational autoencoders, the importance weighted bound, learnt priors and layers
word2vec/     skip-gram and CBOW, negative sampling and the full softmax
"""
