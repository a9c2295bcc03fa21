"""Hypernyms from word vectors: Fu et al. 2014 on WordNet and BLESS, beside simpler models.

    .venv/bin/python -m benchmarks.hypernymy VECTORS_FILE --data GENJAX_DATA_FOLDER

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

from genjax.base import Embedding
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
from genjax.metrics.hypernymy import hypernymy_scores

FRACTIONS = (0.5, 0.2, 0.3)  # of the words, to train, to choose thresholds, to test

Pairs = list[tuple[str, str, str]]
Split = Callable[..., tuple[Pairs, ...]]  # `lexical_split` or `hyponym_split`
Parts = Callable[[Split, int], Sequence[Pairs]]  # split, seed -> train, dev, test


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('vectors', help='word2vec text or binary, or safetensors')
    parser.add_argument(
        '--data', type=pathlib.Path, required=True, help='folder of text/ and words/'
    )
    parser.add_argument('--words', type=int, help='use the first so many words of the file')
    parser.add_argument('--draws', type=int, default=3, help='of each split')
    parser.add_argument('--clusters', type=int, nargs='+', default=[1, 5, 10, 25, 50])
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
    print(f'{"%":16}{"F1":>6}{"":7}{columns}')
    for rows in zip(*draws, strict=True):
        f1 = [100 * row['f1'] for row in rows]
        means = ''.join(
            f'{100 * statistics.mean(row[name] for row in rows):11.1f}' for name in names
        )
        print(
            f'{rows[0]["model"]:16}{statistics.mean(f1):6.1f} ± {statistics.pstdev(f1):4.1f}{means}'
        )
    print(f'{seconds:.1f} s')


def main():
    flags = arguments()
    loaded = load(flags.vectors)
    embedding = Embedding(loaded.words[: flags.words], loaded.vectors[: flags.words])
    sets = {'WordNet': wordnet(flags.data, set(embedding.words)), 'BLESS': bless(flags.data)}
    for name, parts in sets.items():
        for split_name, split in (('words', lexical_split), ('hyponyms', hyponym_split)):
            start = time.perf_counter()
            draws = [
                hypernymy_scores(embedding, *parts(split, seed), clusters=flags.clusters)
                for seed in range(flags.draws)
            ]
            show(f'{name}, split by {split_name}', draws, time.perf_counter() - start)


if __name__ == '__main__':
    main()
