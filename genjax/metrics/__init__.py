"""Metrics: functions of arrays that give numbers.

analogies         analogies of word vectors by 3CosAdd and 3CosMul
code_accuracy     linear_accuracy, neighbour_accuracy: how well labels can be read from codes
codebook          codebook_use: how many codes of a quantiser occur, and how evenly
energy            energy_distance: two sets of points by the distances between them
fidelity          features of images by an Extractor, and every fidelity score of them
frechet           the Frechet distance, and its bias with few examples
hearst            hypernyms from patterns of a text, and their associations
hypernymy         hypernymy_scores: how well hypernyms can be told by word vectors
kernel            the kernel distance
likelihood        Kullback-Leibler divergences: closed forms, quadrature, Monte Carlo
mode_coverage     which modes of a mixture samples reach
modes             shares of classes, modes reached, the classifier score
nearest           nearest word vectors by their cosine
precision_recall  precision, recall, density and coverage by balls of nearest neighbours
projections       linear maps from hyponyms to hypernyms
protocol          Score and the Protocol of how it was made
published         published_scores: every score, drawn at random as published figures are
similarity        correlation of cosines of word pairs with human scores
statistics        moments of features in a file, as pytorch-fid and EDM keep them
words             every score of word vectors at once
"""
