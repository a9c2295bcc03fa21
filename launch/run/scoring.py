"""Scores of images against others: what is named on a command line is opened, its features are made
and compared.

Whatever can be known to be wrong is refused before a feature is computed.
"""

import pathlib
import sys
from typing import NamedTuple

from experiments import _images, _scores
from experiments._extractor import inception_extractor
from experiments._images import Images, by
from experiments._scores import CLASSIFIERS
from genjax.home import is_writable
from genjax.training import generator
from genjax.training.samples import write_atomically
from launch.cli.refusal import Refused, nearest, refusing
from launch.run import saved
from launch.run.comparable import (
    Choice,
    Statistics,
    check_alike,
    check_suited,
    check_weights,
    unlike,
)
from launch.run.score_report import Row, as_json, as_text, contract
from launch.viewer.reading import find_runs, read_run

WIDTH = 2048  # of InceptionV3's features
MOST = 50_000  # samples of a run, where the other side has more
MANY = 5_000  # images of each side, whose comparison takes a while
OWN = ('folder:', 'npz:')  # before a path of images
SETS = ('digits', 'mnist', 'fashion_mnist', 'cifar10')  # that need not be prepared


class Request(NamedTuple):
    """What a command line asks for."""

    scored: tuple[str, ...]
    reference: str | None  # None where statistics are written and nothing is compared
    inception: str | None = None  # the file of its weights
    classifier: str | None = None  # NAME or NAME:STEPS
    n: int | None = None  # samples of a run
    sample_seed: int = 0
    average: str | None = None
    size: int | None = None
    batch: int = 64
    data_dir: str = ''
    seed: int | None = None  # of what is drawn at random for the scores
    subsets: int | None = None
    subset_size: int | None = None
    write_statistics: pathlib.Path | None = None
    out: pathlib.Path | None = None


class Run(NamedTuple):
    """A run that was named, to be opened when its turn comes."""

    text: str


Source = Images | Statistics | Run


def score(asked: Request) -> int:
    """Carries out a request, prints the scores and writes the files asked for.

    Returns 1 if a run of several could not be scored, which stops no other.

    Raises:
      Refused: anything that can be known to be wrong before.
    """
    _check_places(asked)
    words = _expanded(asked.scored)
    reference = _open(asked.reference, asked) if asked.reference else None
    scored = [_open(word, asked) for word in words]
    _check_flags(asked, [*scored, reference])
    _open_one_run(scored, asked, reference)
    if isinstance(reference, Run):
        counts = [count for count in map(_count, scored) if count is not None]
        reference = _samples(reference, asked, max(counts, default=None))
    opened = [source for source in (*scored, reference) if source is not None]
    check_alike(opened, asked.subset_size)
    if asked.write_statistics and isinstance(opened[-1], Statistics):
        raise Refused(f'{opened[-1].path} is a file of statistics already')
    choice = _choose(asked, opened)
    check_suited(choice, opened)

    if choice is None:
        extractor = None
        made = _scores.stated_by(scored[0].content)
    else:
        extractor = choice.make()
        made = _scores.made_by(extractor)
        check_weights(opened, made)
    if reference is None:
        side = _side(scored[0], extractor, asked)
        return _write_statistics(asked, extractor, side)
    beside = _side(reference, extractor, asked)
    if asked.write_statistics:
        _write_statistics(asked, extractor, beside)
    return _compare(asked, words, scored, extractor, made, beside)


def _compare(asked, words, scored, extractor, made, reference):
    draws = _draws(asked)
    rows = []
    for word, source in zip(words, scored, strict=True):
        run, checkpoint = _run_of(word)
        try:
            if isinstance(source, Run):
                source = _samples(source, asked, reference.n)
                if reference.shape and source.shape != reference.shape:
                    raise Refused(unlike(source, reference))
            side = _side(source, extractor, asked)
            if min(side.n or 0, reference.n or 0) >= MANY:
                print(f'comparing {side.n:,} with {reference.n:,} images', file=sys.stderr)
            with refusing(ValueError):
                comparison = _scores.scored(made, side, reference, draws)
            rows.append(Row(word, run, checkpoint, side, comparison, ''))
        except Refused as refusal:
            if len(scored) == 1:
                raise
            print(f'{word}: {refusal}', file=sys.stderr)
            rows.append(Row(word, run, checkpoint, None, None, str(refusal)))
    if all(row.side is None for row in rows):
        raise Refused(f'none of the {len(rows)} that were named could be scored')
    stated = contract(made, reference, draws)
    print(as_text(stated, rows))
    if asked.out:
        with refusing(OSError):
            write_atomically(asked.out, as_json(stated, rows).encode())
    return 1 if any(row.side is None for row in rows) else 0


def _check_places(asked):
    for flag, path in (('--out', asked.out), ('--write_statistics', asked.write_statistics)):
        if path is None:
            continue
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir():
            raise Refused(f'{flag} is {path}; it takes a file in a folder that is there')
        if not is_writable(folder):
            raise Refused(f'{flag} is {path}; {folder} cannot be written')


def _check_flags(asked, sources):
    """Sees that what is said of the samples of runs is said of some."""
    if any(isinstance(source, Run) for source in sources):
        return
    for flag, value in (('--n', asked.n), ('--average', asked.average)):
        if value is not None:
            raise Refused(f'{flag} is {value}, and none of those that are named is a run')


def _open_one_run(scored, asked, reference):
    """Opens the first run that can be, in its place, so that the shape of its images is known.

    The others are opened when their turn comes, for the states of all might not fit into memory.
    """
    refusal = None
    for i, source in enumerate(scored):
        if not isinstance(source, Run):
            continue
        try:
            scored[i] = _samples(source, asked, _count(reference))
            return
        except Refused as error:
            refusal = refusal or error
    if refusal is not None and all(isinstance(source, Run) for source in scored):
        raise refusal


def _expanded(words):
    """The words, with the runs of a folder that holds some in its place."""
    found = []
    for word in words:
        folder = pathlib.Path(word).expanduser()
        if folder.is_dir() and not _is_run(folder) and any(folder.glob('*/config.json')):
            found += [str(run.workdir) for run in find_runs([folder])]
        else:
            found.append(word)
    return found


def _is_run(folder):
    return (folder / 'config.json').is_file() and (folder / 'manifest.json').is_file()


def _open(word: str, asked: Request) -> Source:
    """What a word of the command line names.

    Raises:
      Refused: it names nothing, or what it names cannot be read.
    """
    with refusing(ValueError, OSError):
        name, colon, part = word.rpartition(':')
        if word.startswith(OWN):
            if part in _images.PARTS:
                return _images.images_of_set(name, part, size=asked.size)
            return _open_path(word, word.partition(':')[2], asked)
        path = pathlib.Path(word).expanduser()
        if path.exists() and word in SETS:
            raise Refused(
                f'{word} is a set of images, and there is {path.absolute()}; '
                f'say {word}:train or folder:{word}'
            )
        if path.is_dir() and _is_run(path):
            return Run(word)
        if path.exists():
            return _open_path(word, word, asked)
        if colon and saved.is_checkpoint(part):
            if pathlib.Path(name).expanduser().is_dir():
                return Run(word)
            raise Refused(f'{name} is no run directory')
        if word.startswith(('.', '/', '~')) or path.suffix in ('.zip', '.npz'):
            raise Refused(f'there is no folder, file or run {word}')
        has_part = part in _images.PARTS
        if not has_part:
            name, part = word, 'train'
        about = '' if has_part or name in SETS else f'{word} is no folder, file or run'
        with refusing(ValueError, about=about):
            return _images.images_of_set(name, part, size=asked.size, data_dir=asked.data_dir)


def _open_path(word, path, asked):
    path = pathlib.Path(path).expanduser()
    if _scores.holds_statistics(path):
        return Statistics(word, _scores.read_statistics(path))
    return _images.images_of_files(word, path, size=asked.size)


def _samples(run: Run, asked: Request, other: int | None) -> Images:
    """The samples of a run, as many as the other side has images."""
    n = asked.n or min(other or MOST, MOST)
    return _images_of_run(
        run.text, average=asked.average, n=n, seed=asked.sample_seed, batch=asked.batch
    )


def _images_of_run(run: str, *, average: str | None, n: int, seed: int, batch: int) -> Images:
    """The first n samples of a run, with its labels in turn where it has such.

    Args:
      run: RUN, RUN:STEP, RUN:best or RUN:last.
      average: of the parameters; None for the run's own.
      n: how many samples.
      seed: of the samples.
      batch: how many are drawn by one device at a time.

    Raises:
      Refused: there is no such run, checkpoint or average, or it draws no images.
    """
    opened = saved.open_saved(run, average=average)
    plan = opened.plan
    with refusing(ValueError, about=run):
        made = generator(
            plan.experiment, opened.state, seed=seed, mesh=plan.mesh, labels=None, batch=batch
        )
    shape = made.example.shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise Refused(f'{run} draws arrays of shape {list(shape)}; images [H, W, C] are scored')

    def draw():
        for group, samples in made.draw(range(-(-n // batch))):
            yield samples[: n - group * batch]

    return _images.images_of_samples(
        run,
        f'samples of step {opened.step}',
        draw,
        n=n,
        shape=shape,
        average=average or _own_average(plan.config),
        seeds=(plan.config.seed, seed),
    )


def _own_average(config):
    return f'its own, decay {config.decay}' if 'decay' in config else 'its own'


def _count(source: Source | None) -> int | None:
    """How many images there are, where that is known."""
    if isinstance(source, Statistics):
        return _scores.count_of(source.content)
    return source.n if isinstance(source, Images) else None


def _choose(asked: Request, opened) -> Choice | None:
    """The extractor: InceptionV3 where its file is given, else the classifier that is named, that
    statistics name or that suits the images; None where both sides are statistics."""
    if asked.inception:
        with refusing(ValueError, OSError):
            inception = inception_extractor(asked.inception)

        def inception_itself():
            return inception

        return Choice(inception.name, WIDTH, None, inception_itself)
    images = [source for source in opened if isinstance(source, Images)]
    if asked.classifier:
        return _classifier(asked.classifier, asked)
    if not images:
        return None
    for source in opened:
        stated = source.content.extractor if isinstance(source, Statistics) else ''
        for name, trainable in CLASSIFIERS.items():
            if stated == trainable.name:
                return _classifier(name, asked)
        if stated == _scores.INCEPTION:
            raise Refused(f'{source.path} is of {stated}; give its file by --inception')
    sets = [
        source.source
        for source in images
        if source.part in _images.PARTS and not source.source.startswith(OWN)
    ]
    for name in reversed(sets):  # the reference is the last
        if name in CLASSIFIERS:
            return _classifier(name, asked)
    suits = [name for name, known in CLASSIFIERS.items() if known.shape == images[0].shape]
    if sets or not suits:
        of = sets[-1] if sets else f'images of {by(images[0].shape)}'
        raise Refused(
            f'there is no classifier of {of}; give --inception FILE, or --classifier '
            f'{", ".join(CLASSIFIERS)}'
        )
    return _classifier(suits[0], asked)


def _classifier(text: str, asked: Request) -> Choice:
    name, _, steps = text.partition(':')
    if name not in CLASSIFIERS:
        raise Refused(f'--classifier is {text}; {nearest(name, CLASSIFIERS)}')
    known = CLASSIFIERS[name]
    if steps and (not steps.isdecimal() or not int(steps)):
        raise Refused(f'--classifier is {text}; it takes NAME or NAME:STEPS')

    def make():
        print(f'training the {known.name}', file=sys.stderr)
        options = (asked.data_dir,) if known.needs_data else ()
        with refusing(ValueError, OSError):
            return known.make(int(steps or known.steps), *options)

    return Choice(known.name, known.width, known.shape, make)


def _side(source, extractor, asked):
    if isinstance(source, Statistics):
        return _scores.side_of_statistics(source.path, source.content)
    with refusing(ValueError, OSError):
        return _scores.side_of_images(extractor, source, batch=asked.batch)


def _write_statistics(asked, extractor, side):
    with refusing(OSError):
        write_atomically(asked.write_statistics, _scores.statistics_bytes(extractor, side))
    print(f'{asked.write_statistics}: statistics of {side.n} images of {side.source}, {side.part}')
    return 0


def _draws(asked):
    draws = _scores.Draws()
    given = {'seed': asked.seed, 'subsets': asked.subsets, 'size': asked.subset_size}
    return draws._replace(**{key: value for key, value in given.items() if value is not None})


def _run_of(word):
    """(the run that a word names, as its directory records it, or None, and which checkpoint)."""
    workdir, checkpoint = saved.parsed(word)
    return (read_run(workdir) if _is_run(workdir) else None), checkpoint
