"""GloVe against its authors' C program: entries a second and scores, on one text and one core.

    python -m benchmarks.glove --data GENJAX_DATA --programs FOLDER [--words 4000000] [--epochs 8]
        [--steps 400] [--sides original,genjax] [--entries N]

FOLDER has vocab_count, cooccur, shuffle and glove of github.com/stanfordnlp/GloVe, built by
`gcc -O3 -march=native -funroll-loops`. Both sides take the first words of the corpus, of them the
50,000 most frequent that occur 5 times, a symmetric window of 10 with weights of 1/d, dimension
100, x_max 10 and alpha 0.75. The original takes one step an entry at a rate of 0.05, genjax `steps`
steps of large batches at 0.3. Entries a second are those of the counts times the epochs over the
seconds of training, of genjax compiling included; genjax alone has to be told how many entries
there are. `whole` is the time from the command to its end, counting and for genjax scores included.
One code computes the scores of both: Spearman's correlations, the Google analogies among the first
30,000 words (3CosAdd), and the mean of the four.
"""

import argparse
import json
import lzma
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

SCORES = ('men', 'wordsim353', 'simlex999', 'analogies', 'mean')
RECORD = 16  # bytes of an entry in the original's files
WINDOW = 10
DIMENSION = 100
MAX_SIZE = 50_000


def genjax(text, entries, folder, options):
    """One run by python -m launch."""
    workdir = folder / 'run'
    every = options.steps
    config = {
        'corpus': text,
        'word_sets': options.data / 'words',
        'max_size': MAX_SIZE,
        'epochs': options.epochs,
        'steps': options.steps,
        'held_out': 1000,
        'counting.window': WINDOW,
        'dimension': DIMENSION,
        'every.evaluate': every,
        'every.save': every,
    }
    flags = [f'--config.{name}={value}' for name, value in config.items()]
    start = time.perf_counter()
    command = [sys.executable, '-m', 'launch', '--exp', 'glove_file', '--workdir', workdir, *flags]
    subprocess.run(command, check=True)
    whole = time.perf_counter() - start
    row = json.loads((workdir / 'metrics.jsonl').read_text().splitlines()[-1])
    return {
        'entries/s': entries * options.epochs / row['time/seconds'],
        'whole': whole,
        **{name: row[f'words/{name}'] for name in SCORES},
    }


def original(text, folder, options):
    """One run of the four programs; also the number of entries."""
    from genjax.base import Embedding
    from genjax.data.words import read_sets
    from genjax.metrics.words import scores

    def run(program, *arguments, reads=None, writes=None):
        command = [options.programs / program, *map(str, arguments), '-verbose', '0']
        stdin = reads and reads.open('rb')
        stdout = writes and writes.open('wb')
        subprocess.run(command, stdin=stdin, stdout=stdout, check=True, cwd=folder)

    vocabulary = folder / 'vocabulary.txt'
    pairs = folder / 'pairs.bin'
    shuffled = folder / 'shuffled.bin'
    counting = ['-vocab-file', vocabulary, '-window-size', WINDOW, '-symmetric', 1, '-memory', 2]
    start = time.perf_counter()
    limits = ['-min-count', 5, '-max-vocab', MAX_SIZE]
    run('vocab_count', *limits, reads=text, writes=vocabulary)
    run('cooccur', *counting, reads=text, writes=pairs)
    run('shuffle', '-memory', 2, '-seed', 1, reads=pairs, writes=shuffled)

    settings = {
        'input-file': shuffled,
        'vocab-file': vocabulary,
        'save-file': folder / 'vectors',
        'vector-size': DIMENSION,
        'threads': 1,
        'iter': options.epochs,
        'x-max': 10,
        'alpha': 0.75,
        'eta': 0.05,
        'binary': 0,
        'seed': 1,
    }
    training = time.perf_counter()
    run('glove', *(part for name, value in settings.items() for part in (f'-{name}', value)))
    end = time.perf_counter()

    rows = [line.split() for line in (folder / 'vectors.txt').read_text().splitlines()]
    rows = [row for row in rows if row[0] != '<unk>']
    vectors = np.array([row[1:] for row in rows], np.float32)
    found = scores(Embedding([row[0] for row in rows], vectors), *read_sets(options.data / 'words'))
    entries = shuffled.stat().st_size // RECORD
    figures = {
        'entries/s': entries * options.epochs / (end - training),
        'whole': end - start,
        **{name: found[name] for name in SCORES},
    }
    return figures, entries


def first_words(data, words, path):
    """Writes the first lines of the corpus that have so many words or a few more."""
    count = 0
    with lzma.open(data / 'text/corpus.txt.xz', 'rt') as corpus, path.open('w') as part:
        for line in corpus:
            part.write(line)
            count += len(line.split())
            if count >= words:
                return


def print_row(side, run):
    scores = [f'{100 * run[name]:.1f}' for name in SCORES]
    cells = [side, f'{run["entries/s"]:,.0f}', f'{run["whole"]:.0f}', *scores]
    print('| ' + ' | '.join(cells) + ' |', flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', type=pathlib.Path, required=True)
    parser.add_argument('--programs', type=pathlib.Path, required=True)
    parser.add_argument('--words', type=int, default=4_000_000)
    parser.add_argument('--epochs', type=int, default=8)
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--sides', default='original,genjax')
    parser.add_argument('--entries', type=int, help='of the counts, where the original is not run')
    options = parser.parse_args()
    sides = options.sides.split(',')
    options.programs = options.programs.resolve()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    speeds = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        text = folder / 'text.txt'
        first_words(options.data, options.words, text)
        print('| side | entries/s | whole, s | ' + ' | '.join(SCORES) + ' |')
        print('|' + ' --- |' * (3 + len(SCORES)))
        entries = options.entries
        if 'original' in sides:
            theirs, entries = original(text, folder, options)
            print_row('original', theirs)
            speeds['original'] = theirs['entries/s']
        if 'genjax' in sides:
            ours = genjax(text, entries, folder, options)
            print_row('genjax', ours)
            speeds['genjax'] = ours['entries/s']
        print(f'{entries:,} entries, {options.epochs} epochs, {options.steps} steps of genjax')
    if len(speeds) == 2:
        print(f'{speeds["genjax"] / speeds["original"]:.2f} times the entries/s')


if __name__ == '__main__':
    main()
