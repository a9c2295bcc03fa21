"""A planted corpus: sentences of a small grammar, whose analogies are known.

Targets are in rows and columns: paris in the row of one topic with france, in the column of one
role with london. In a sentence a target is between two words of its topic, the same for the whole
row, or of its role, the same for the whole column. So its row of positive pointwise mutual
information (PPMI) is a topic's part plus a role's part, and

    paris - france = (topic + capital) - (topic + country) = london - england

holds exactly, for these rows and for every linear map of them. All targets of a relation are
equally frequent and alike but for names, so their rows are equally long, and 3CosAdd finds the
fourth word at cosine 1.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Analogy = tuple[str, str, str, str, str]  # (category, a, b, c, d): a is to b as c is to d


class Relation(NamedTuple):
    """Targets by topic and role."""

    roles: dict[str, str]  # name of each column -> its words
    rows: dict[str, str]  # targets, one for each role -> the words of their topic


RELATIONS = (
    Relation(
        {'country': 'nation border parliament', 'capital': 'city mayor suburbs'},
        {
            'france paris': 'seine baguette riviera',
            'england london': 'thames scones cricket',
            'italy rome': 'tiber risotto vespa',
            'austria vienna': 'danube strudel waltz',
            'egypt cairo': 'nile falafel pyramid',
            'japan tokyo': 'sumida sushi kimono',
            'peru lima': 'rimac ceviche llama',
            'iraq baghdad': 'tigris kebab ziggurat',
        },
    ),
    Relation(
        {'male': 'he him his', 'female': 'she her hers'},
        {
            'king queen': 'throne crown reign',
            'prince princess': 'heir palace tiara',
            'father mother': 'cradle parent toddler',
            'son daughter': 'offspring schooling homework',
            'brother sister': 'sibling quarrel twin',
            'husband wife': 'marriage wedding honeymoon',
            'uncle aunt': 'nephew cousin relative',
            'actor actress': 'stage film rehearsal',
        },
    ),
    Relation(
        {
            'positive': 'very quite rather',
            'comparative': 'than even still',
            'superlative': 'ever among world',
        },
        {
            'big bigger biggest': 'elephant whale mammoth',
            'small smaller smallest': 'ant crumb atom',
            'fast faster fastest': 'rocket cheetah sprint',
            'slow slower slowest': 'snail tortoise glacier',
            'cold colder coldest': 'ice winter frost',
            'warm warmer warmest': 'summer blanket oven',
            'old older oldest': 'ruin fossil antique',
            'tall taller tallest': 'tower giraffe mast',
        },
    ),
)


def planted(seed: int, sentences: int) -> tuple[list[str], list[Analogy]]:
    """Sentences of the grammar, drawn independently and uniformly, and its analogies.

    Args:
      seed: of the draw; by the raw output of PCG64, which NumPy promises to keep.
      sentences: how many.
    """
    grammar = population()
    draws = np.random.PCG64(seed).random_raw(sentences) % len(grammar)
    return [grammar[i] for i in draws], analogies()


def population(relations: Sequence[Relation] = RELATIONS) -> list[str]:
    """Every sentence of the grammar once; they are equally likely."""
    sentences = []
    for roles, rows in relations:
        for targets, topic in rows.items():
            for target, role in zip(targets.split(), roles.values(), strict=True):
                for group in (role, topic):
                    for before, after in itertools.permutations(group.split(), 2):
                        sentences.append(f'{before} {target} {after}')
    return sentences


def analogies(relations: Sequence[Relation] = RELATIONS) -> list[Analogy]:
    """All analogies of the grammar.

    They go from the first role of a relation to each other one, for every two rows in both orders.
    """
    questions = []
    for roles, rows in relations:
        targets = [row.split() for row in rows]
        for i, role in list(enumerate(roles))[1:]:
            for first, second in itertools.permutations(targets, 2):
                questions.append((role, first[0], first[i], second[0], second[i]))
    return questions
