"""Whether images and files of statistics can be compared, before anything is computed."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments import _scores
from experiments._images import Images, by
from launch.cli.refusal import Refused


class Statistics(NamedTuple):
    """A file of statistics that was named."""

    path: str
    content: _scores.Statistics


class Choice(NamedTuple):
    """The extractor that is to be used, as far as it is known before it is made."""

    name: str
    width: int  # features of an image
    shape: tuple[int, int, int] | None  # of an image; None: any
    make: Callable[[], _scores.Extractor]


def check_alike(opened: Sequence, subset_size: int | None) -> None:
    """Sees that images have one shape, and are as many as a subset has.

    Raises:
      Refused: they do not, or are not.
    """
    images = [source for source in opened if isinstance(source, Images)]
    for source in images:
        if source.shape != images[0].shape:
            raise Refused(unlike(images[0], source))
    counts = [source.n for source in images]
    if subset_size and any(count < subset_size for count in counts):
        raise Refused(
            f'--subset_size is {subset_size}, and there are {min(counts)} images on a side'
        )


def check_suited(choice: Choice | None, opened: Sequence) -> None:
    """Sees that the images suit the extractor, and that files of statistics are of it.

    Raises:
      Refused: they do not, or are of another.
    """
    for source in opened:
        if isinstance(source, Statistics):
            _check_statistics(source, choice)
        elif isinstance(source, Images) and choice.shape and source.shape != choice.shape:
            raise Refused(
                f'the {choice.name} takes images of {by(choice.shape)}, and {source.source} has '
                f'{by(source.shape)}'
            )
    if choice is None:
        _check_stated(opened)


def unlike(one: Images, other: Images | _scores.Side) -> str:
    """Says that images have not one shape."""
    return (
        f'{one.source} has images of {by(one.shape)} and {other.source} of {by(other.shape)}; '
        'only those of the same size and channels are compared'
    )


def _check_statistics(source, choice):
    """Sees that statistics are of the features that are to be compared with them."""
    if choice is None:
        return
    stated = source.content.extractor
    if not stated and choice.name != _scores.INCEPTION:
        raise Refused(
            f'{source.path} does not say what its features are of; such a file is taken to be of '
            f'InceptionV3, and this is the {choice.name}: give --inception FILE'
        )
    if stated and stated != choice.name:
        raise Refused(f'{source.path} is of {stated}, and the others would be of {choice.name}')
    width = len(source.content.moments.mean)
    if width != choice.width:
        raise Refused(f'{source.path} has {width} features, and {choice.name} makes {choice.width}')


def _check_stated(opened):
    """Sees that files of statistics are of the same features, and as many."""
    first, *others = opened
    made = _scores.stated_by(first.content)
    check_weights(others, made, f'{first.path} is')
    for other in others:
        widths = [len(source.content.moments.mean) for source in (first, other)]
        if widths[0] != widths[1]:
            raise Refused(f'{first.path} has {widths[0]} features and {other.path} {widths[1]}')


def check_weights(opened: Sequence, made: _scores.Made, these: str = 'these features are') -> None:
    """Sees that whatever files say of their features is so.

    Args:
      opened: sources.
      made: by what the features that they are compared with were made.
      these: the features, as the subject of a sentence.

    Raises:
      Refused: it is not.
    """
    for source in opened:
        if not isinstance(source, Statistics):
            continue
        stated = _scores.stated_by(source.content)
        if not stated.extractor and made.extractor == _scores.INCEPTION:
            continue
        for name, there, here in zip(stated._fields, stated, made, strict=True):
            if there != here:
                raise Refused(
                    f'{source.path} is of {name} {there or "not stated"}, and {these} of '
                    f'{here or "not stated"}'
                )
