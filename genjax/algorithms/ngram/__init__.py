"""n-gram language models: maximum likelihood, add-k and Kneser-Ney."""

from genjax.algorithms.ngram.events import margin, ngrams
from genjax.algorithms.ngram.ngram import ngram
from genjax.algorithms.ngram.probabilities import log_probability, perplexity, probabilities
from genjax.algorithms.ngram.smoothing import Smoothing, add_k, kneser_ney, maximum_likelihood

__all__ = [
    'Smoothing',
    'add_k',
    'kneser_ney',
    'log_probability',
    'margin',
    'maximum_likelihood',
    'ngram',
    'ngrams',
    'perplexity',
    'probabilities',
]
