"""How well labels can be read from codes.

N training examples, M test examples, K entries of a code.
"""

import numpy as np


def linear_accuracy(
    codes: np.ndarray, label: np.ndarray, test_codes: np.ndarray, test_label: np.ndarray
) -> float:
    """The accuracy of a linear classifier of codes.

    The classifier is multinomial logistic regression, scikit-learn's with its L2 penalty (C = 1).
    The entries of codes are standardised by mean and variance of the training codes.

    Args:
      codes: [N, K].
      label: [N].
      test_codes: [M, K].
      test_label: [M].
    """
    from sklearn.linear_model import LogisticRegression

    mean = codes.mean(0, dtype=np.float64)
    deviation = codes.std(0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1)
    classifier = LogisticRegression(max_iter=2000).fit((codes - mean) / scale, label)
    return float(classifier.score((test_codes - mean) / scale, test_label))


def neighbour_accuracy(
    codes: np.ndarray, label: np.ndarray, test_codes: np.ndarray, test_label: np.ndarray, *, k: int
) -> float:
    """The accuracy of the k nearest neighbours' vote, by Euclidean distance.

    Of labels with as many votes the smallest wins.

    Args:
      codes: [N, K].
      label: [N].
      test_codes: [M, K].
      test_label: [M].
      k: neighbours of each test code, among the training codes.
    """
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(k, algorithm='brute').fit(codes, label)
    return float(classifier.score(test_codes, test_label))
