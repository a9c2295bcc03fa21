"""Scores of images against others: what is named on a command line is opened, its features are made
and compared.

Whatever can be known to be wrong is refused before a feature is computed.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from experiments import _images, _scores
from experiments._images import Images
from experiments._scores import Draws, Extractor, Made, Side
from genjax.home import is_writable
from genjax.training import generator
from genjax.training.samples import write_atomically
from launch.cli.refusal import Refused, refusing
from launch.run import saved
from launch.run.comparable import Statistics, check_alike, check_suited, check_weights, unlike
from launch.run.extractor_choice import choose
from launch.run.score_report import Row, as_json, as_text, contract
from launch.viewer.reading import find_runs, read_run

MOST = 50_000  # samples of a run, where the other side has more
MANY = 5_000  # images of each side, whose comparison takes a while
SETS = ('digits', 'mnist', 'fashion_mnist', 'cifar10')  # that need not be prepared


class Request(NamedTuple):
    """What a command line asks for."""

    scored: tuple[str, ...]
    reference: str | None  # None where statistics are written and nothing is compared
    inception: str | None = None  # the file of its weights
    classifier: str | None = None  # NAME or NAME:STEPS
    n: int | None = None  # samples of a run
    sample_seed: int = 0
    labels: tuple[int, ...] | None = None  # of them, in turn; None: all that a run has
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
    # 1. What is named is opened.
    _check_places(asked)
    words = _with_runs_of_folders(asked.scored)
    reference = _open(asked.reference, asked) if asked.reference else None
    scored = [_open(word, asked) for word in words]
    _check_flags(asked, [*scored, reference])
    _open_one_run(scored, asked, reference)
    if isinstance(reference, Run):
        counts = [count for count in map(_count, scored) if count is not None]
        reference = _samples(reference, asked, max(counts, default=None))
    opened = [source for source in (*scored, reference) if source is not None]

    # 2. Whether they can be compared, and by what.
    check_alike(opened, asked.subset_size)
    if asked.write_statistics and isinstance(opened[-1], Statistics):
        raise Refused(f'{opened[-1].path} is a file of statistics already')
    choice = choose(
        opened, inception=asked.inception, classifier=asked.classifier, data_dir=asked.data_dir
    )
    check_suited(choice, opened)
    if choice is None:
        extractor = None
        made = _scores.stated_by(scored[0].content)
    else:
        extractor = choice.make()
        made = _scores.made_by(extractor)
        check_weights(opened, made)

    # 3. The features of the reference, once, and then one after the other.
    if reference is None:
        _write_statistics(asked, extractor, _side(scored[0], extractor, asked))
        return 0
    beside = _side(reference, extractor, asked)
    if asked.write_statistics:
        _write_statistics(asked, extractor, beside)
    named = list(zip(words, scored, strict=True))
    rows = [_row(*one, asked, extractor, made, beside, alone=len(named) == 1) for one in named]
    return _report(asked, made, beside, rows)


def _row(
    word: str,
    source: Source,
    asked: Request,
    extractor: Extractor | None,
    made: Made,
    reference: Side,
    *,
    alone: bool,
) -> Row:
    """The scores of what a word names, or why it has none.

    Raises:
      Refused: it has none, and is all that is scored.
    """
    workdir, checkpoint = saved.parsed(word)
    run = read_run(workdir) if _is_run(workdir) else None
    try:
        if isinstance(source, Run):
            source = _samples(source, asked, reference.n)
            if reference.shape and source.shape != reference.shape:
                raise Refused(unlike(source, reference))
        side = _side(source, extractor, asked)
        with refusing(ValueError):
            comparison = _scores.scored(
                made, side, reference, _draws(asked), begin=_announcement(side, reference)
            )
    except Refused as refusal:
        if alone:
            raise
        print(f'{word}: {refusal}', file=sys.stderr)
        return Row(word, run, checkpoint, None, None, str(refusal))
    return Row(word, run, checkpoint, side, comparison, '')


def _announcement(side: Side, reference: Side):
    """What is told which measure is begun, and says so where it will take a while."""

    def begin(measure):
        if min(side.n or 0, reference.n or 0) >= MANY:
            print(f'{side.n:,} beside {reference.n:,} images: {measure}', file=sys.stderr)

    return begin


def _report(asked: Request, made: Made, reference: Side, rows: list[Row]) -> int:
    if all(row.side is None for row in rows):
        raise Refused(f'none of the {len(rows)} that were named could be scored')
    stated = contract(made, reference, _draws(asked))
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
    of_samples = {'--n': asked.n, '--average': asked.average, '--labels': asked.labels}
    for flag, value in of_samples.items():
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


def _with_runs_of_folders(words: Sequence[str]) -> list[str]:
    """The words, with the runs of a folder that holds some in its place."""
    found = []
    for word in words:
        folder = pathlib.Path(word).expanduser()
        if folder.is_dir() and not _is_run(folder) and any(folder.glob('*/config.json')):
            found += [str(run.workdir) for run in find_runs([folder])]
        else:
            found.append(word)
    return found


def _is_run(folder: pathlib.Path) -> bool:
    """Whether a folder is the directory of one run."""
    return (folder / 'config.json').is_file() and (folder / 'manifest.json').is_file()


def _open(word: str, asked: Request) -> Source:
    """What a word of the command line names.

    Raises:
      Refused: it names nothing, or what it names cannot be read.
    """
    with refusing(ValueError, OSError):
        name, colon, part = word.rpartition(':')
        if word.startswith(_images.OWN):
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
    """The first samples of a run, as many as the other side has images.

    Args:
      run: RUN, RUN:STEP, RUN:best or RUN:last.
      asked: says how they are drawn.
      other: how many images the other side has, where that is known.

    Raises:
      Refused: there is no such run, checkpoint, average or label, or it draws no images.
    """
    n = asked.n or min(other or MOST, MOST)
    batch = asked.batch
    opened = saved.open_saved(run.text, average=asked.average)
    plan = opened.plan
    with refusing(ValueError, about=run.text):
        made = generator(
            plan.experiment,
            opened.state,
            seed=asked.sample_seed,
            mesh=plan.mesh,
            labels=asked.labels,
            batch=batch,
        )
    shape = made.example.shape
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise Refused(
            f'{run.text} draws arrays of shape {list(shape)}; images [H, W, C] are scored'
        )

    def draw():
        for group, samples in made.draw(range(-(-n // batch))):
            yield samples[: n - group * batch]

    return _images.images_of_samples(
        run.text,
        f'samples of step {opened.step}',
        draw,
        n=n,
        shape=shape,
        average=asked.average or _own_average(plan.config),
        seeds=(plan.config.seed, asked.sample_seed),
    )


def _own_average(config):
    return f'its own, decay {config.decay}' if 'decay' in config else 'its own'


def _count(source: Source | None) -> int | None:
    """How many images there are, where that is known."""
    if isinstance(source, Statistics):
        return _scores.count_of(source.content)
    return source.n if isinstance(source, Images) else None


def _side(source, extractor, asked):
    if isinstance(source, Statistics):
        return _scores.side_of_statistics(source.path, source.content)
    with refusing(ValueError, OSError):
        return _scores.side_of_images(extractor, source, batch=asked.batch)


def _write_statistics(asked, extractor, side):
    with refusing(OSError):
        write_atomically(asked.write_statistics, _scores.statistics_bytes(extractor, side))
    print(f'{asked.write_statistics}: statistics of {side.n} images of {side.source}, {side.part}')


def _draws(asked):
    given = {'seed': asked.seed, 'subsets': asked.subsets, 'size': asked.subset_size}
    return Draws(**{name: value for name, value in given.items() if value is not None})
