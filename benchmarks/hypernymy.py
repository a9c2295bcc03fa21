"""Hypernyms from word vectors: Fu et al. 2014 on WordNet and BLESS, beside simpler models.

    .venv/bin/python -m benchmarks.hypernymy VECTORS_FILE --data GENJAX_DATA_FOLDER

With --patterns also Hearst's patterns of the corpus, by PPMI and by its SVD (Roller et al. 2018),
on the same pairs; words of the text are taken in their singular there. `f1 closed` is after closure
under transitivity.

Each set is split by words (no word in two parts) and by hyponyms (hypernyms are shared), and each
split is drawn a few times: the table holds means, with the standard deviation of F1 between the
draws. The last columns are the shares of other relations that were called hypernyms. WordNet's
pairs are those with vectors. Fu et al. report an F1 of 73.74 % on Chinese data of their own, with
which none of this compares.
"""

import argparse
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from genjax.base import Embedding
from genjax.data.text import read_corpus
from genjax.data.words import (
    HYPER,
    ancestors,
    hyponym_split,
    lexical_split,
    read_bless,
    read_wordnet,
    with_negatives,
)
from genjax.data.words.vectors import load
from genjax.metrics.hearst import count_pairs, factors, find_pairs, ppmi, singular_forms, spmi
from genjax.metrics.hypernymy import hypernymy_scores, score_row

FRACTIONS = (0.5, 0.2, 0.3)  # of the words, to train, to choose thresholds, to test

Pairs = list[tuple[str, str, str]]
Split = Callable[..., tuple[Pairs, ...]]  # `lexical_split` or `hyponym_split`
Parts = Callable[[Split, int], Sequence[Pairs]]  # split, seed -> train, dev, test
Distance = Callable[[np.ndarray], np.ndarray]  # pairs of words [N, 2] -> [N], small for hypernyms


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('vectors', help='word2vec text or binary, or safetensors')
    parser.add_argument(
        '--data', type=pathlib.Path, required=True, help='folder of text/ and words/'
    )
    parser.add_argument('--words', type=int, help='use the first so many words of the file')
    parser.add_argument('--draws', type=int, default=3, help='of each split')
    parser.add_argument('--clusters', type=int, nargs='+', default=[1, 5, 10, 25, 50])
    parser.add_argument('--patterns', action='store_true', help='search the corpus for patterns')
    parser.add_argument('--ranks', type=int, nargs='+', default=[25, 50, 100], help='of the SVD')
    return parser.parse_args()


def wordnet(folder: pathlib.Path, vocabulary: set[str]) -> Parts:
    """Pairs whose words are in the vocabulary, with negatives in dev and test."""
    links = read_wordnet(folder / 'text' / 'wordnet_hypernyms.tsv')
    ancestors_of = ancestors(links)
    pairs = [
        (link.lemma, link.hypernym, HYPER)
        for link in links
        if {link.lemma, link.hypernym} <= vocabulary
    ]

    def parts(split, seed):
        train, dev, test = split(pairs, seed=seed, fractions=FRACTIONS)
        dev = with_negatives(dev, ancestors=ancestors_of, seed=seed)
        test = with_negatives(test, ancestors=ancestors_of, seed=seed)
        return train, dev, test

    return parts


def bless(folder: pathlib.Path) -> Parts:
    words = folder / 'words'
    pairs = read_bless(words / 'bless_hypernymy.tsv', words / 'bless_relations.tsv')

    def parts(split, seed):
        return split(pairs, seed=seed, fractions=FRACTIONS)

    return parts


def pattern_models(
    folder: pathlib.Path, words: Sequence[str], ranks: Sequence[int]
) -> dict[str, Distance]:
    """{name: distance} of the patterns of the corpus, in the places of words."""
    corpus = read_corpus(folder / 'text' / 'corpus.txt.xz')
    place = {word: i for i, word in enumerate(words)}
    forms = singular_forms(corpus.vocabulary.words)
    singulars = [corpus.vocabulary.words[i] for i in forms]
    to_place = np.array([place.get(word, -1) for word in singulars])
    found = to_place[find_pairs(corpus.ids, corpus.vocabulary.words)]
    known = found[(found >= 0).all(1) & (found[:, 0] != found[:, 1])]
    matrix = ppmi(count_pairs(known, len(words)))
    print(f'{len(found):,} matches, {len(known):,} of known words, {matrix.nnz:,} different')

    def by_ppmi(pairs):
        return -np.asarray(matrix[pairs[:, 0], pairs[:, 1]]).ravel()

    def by_svd(rank):
        of_rank = factors(matrix, rank=rank)

        def distance(pairs):
            return -spmi(of_rank, pairs)

        return distance

    return {'patterns': by_ppmi} | {f'patterns, SVD {rank}': by_svd(rank) for rank in ranks}


def pattern_rows(models: dict[str, Distance], words: Sequence[str], parts: Sequence[Pairs]):
    """A row for each model, as `hypernymy_scores` has them."""
    place = {word: i for i, word in enumerate(words)}

    def known(pairs):
        pairs = [pair for pair in pairs if pair[0] in place and pair[1] in place]
        places = np.array([(place[x], place[y]) for x, y, _ in pairs])
        return places, np.array([relation for *_, relation in pairs])

    _, dev, test = parts
    dev_places, dev_relations = known(dev)
    places, relations = known(test)
    counts = {'pairs': len(places), 'coverage': len(places) / len(test)}
    return [
        {'model': name}
        | score_row(
            (distance(dev_places), dev_relations), (distance(places), relations), places, HYPER
        )
        | counts
        for name, distance in models.items()
    ]


def show(title: str, draws: list[list[dict]], seconds: float) -> None:
    """Prints the means over the draws, a line a model."""
    first = draws[0][0]
    print(
        f'\n{title}: {first["pairs"]} test pairs in the first draw, '
        f'coverage {first["coverage"]:.0%}'
    )
    names = [name for name in first if name not in ('model', 'pairs', 'coverage', 'f1')]
    names = [name for name in names if all(name in draw[0] for draw in draws)]
    columns = ''.join(f'{name.removeprefix("called "):>11}' for name in names)
    print(f'{"%":18}{"F1":>6}{"":7}{columns}')
    for rows in zip(*draws, strict=True):
        f1 = [100 * row['f1'] for row in rows]
        means = ''.join(
            f'{100 * statistics.mean(row[name] for row in rows):11.1f}' for name in names
        )
        print(
            f'{rows[0]["model"]:18}{statistics.mean(f1):6.1f} ± {statistics.pstdev(f1):4.1f}{means}'
        )
    print(f'{seconds:.1f} s')


def main():
    flags = arguments()
    loaded = load(flags.vectors)
    embedding = Embedding(loaded.words[: flags.words], loaded.vectors[: flags.words])
    sets = {'WordNet': wordnet(flags.data, set(embedding.words)), 'BLESS': bless(flags.data)}
    patterns = pattern_models(flags.data, embedding.words, flags.ranks) if flags.patterns else {}
    for name, parts in sets.items():
        for split_name, split in (('words', lexical_split), ('hyponyms', hyponym_split)):
            start = time.perf_counter()
            draws = []
            for seed in range(flags.draws):
                drawn = parts(split, seed)
                rows = hypernymy_scores(embedding, *drawn, clusters=flags.clusters)
                draws.append(rows + pattern_rows(patterns, embedding.words, drawn))
            show(f'{name}, split by {split_name}', draws, time.perf_counter() - start)


if __name__ == '__main__':
    main()
