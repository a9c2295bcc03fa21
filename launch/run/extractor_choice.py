"""By whose features images are scored."""

import sys
from collections.abc import Sequence

from experiments import _images, _scores
from experiments._extractor import inception_extractor
from experiments._images import Images, by
from experiments._scores import CLASSIFIERS
from launch.cli.refusal import Refused, nearest, refusing
from launch.run.comparable import Choice, Statistics

WIDTH = 2048  # of InceptionV3's features


def choose(
    opened: Sequence, *, inception: str | None, classifier: str | None, data_dir: str
) -> Choice | None:
    """The extractor: InceptionV3 where its file is given, else the classifier that is named, that
    statistics name or that suits the images; None where both sides are statistics."""
    if inception:
        with refusing(ValueError, OSError):
            extractor = inception_extractor(inception)

        def made_already():
            return extractor

        return Choice(extractor.name, WIDTH, None, made_already)
    images = [source for source in opened if isinstance(source, Images)]
    if classifier:
        return _classifier(classifier, data_dir)
    if not images:
        return None
    for source in opened:
        stated = source.content.extractor if isinstance(source, Statistics) else ''
        for name, trainable in CLASSIFIERS.items():
            if stated == trainable.name:
                return _classifier(name, data_dir)
        if stated == _scores.INCEPTION:
            raise Refused(f'{source.path} is of {stated}; give its file by --inception')
    sets = [
        source.source
        for source in images
        if source.part in _images.PARTS and not source.source.startswith(_images.OWN)
    ]
    for name in reversed(sets):  # the reference is the last
        if name in CLASSIFIERS:
            return _classifier(name, data_dir)
    suits = [name for name, known in CLASSIFIERS.items() if known.shape == images[0].shape]
    if sets or not suits:
        of = sets[-1] if sets else f'images of {by(images[0].shape)}'
        raise Refused(
            f'there is no classifier of {of}; give --inception FILE, or --classifier '
            f'{", ".join(CLASSIFIERS)}'
        )
    return _classifier(suits[0], data_dir)


def _classifier(text: str, data_dir: str) -> Choice:
    name, _, steps = text.partition(':')
    if name not in CLASSIFIERS:
        raise Refused(f'--classifier is {text}; {nearest(name, CLASSIFIERS)}')
    known = CLASSIFIERS[name]
    if steps and (not steps.isdecimal() or not int(steps)):
        raise Refused(f'--classifier is {text}; it takes NAME or NAME:STEPS')

    def make():
        print(f'training the {known.name}', file=sys.stderr)
        options = (data_dir,) if known.needs_data else ()
        with refusing(ValueError, OSError):
            return known.make(int(steps or known.steps), *options)

    return Choice(known.name, known.width, known.shape, make)
