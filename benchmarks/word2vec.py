"""word2vec and fastText against gensim: words a second, scores and memory, at the same settings.

    python -m benchmarks.word2vec --data GENJAX_DATA
        [--models skip_gram,cbow,fasttext] [--seeds 2] [--cores 1] [--epochs 5] [--words 5000000]

The two sides take turns, each run in a process of its own that may use `cores` processors; gensim
has as many workers, and reads the text as fast as it can (corpus_file). Both have dimension 100,
window 5, 5 negatives, subsampling 1e-3, min_count 5 and a rate falling from 0.025 to 1e-4. fasttext
is skip-gram with n-grams of 3 to 6 characters in 2,000,000 buckets. With --words both have the
first so many words of the text. genjax runs as its users run it, by python -m launch. Words a
second are those of the text times the epochs over the seconds of training, compiling included,
reading left out on both sides; `steady` are those between genjax's first line of metrics and the
last but one, without compiling.
One code computes the scores of both: Spearman's correlations, the Google analogies among the first
30,000 words (3CosAdd), and the mean of the four.
"""

import argparse
import json
import lzma
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

EXPERIMENTS = {'skip_gram': 'word2vec_file', 'cbow': 'cbow_file', 'fasttext': 'fasttext_file'}
SCORES = ('men', 'wordsim353', 'simlex999', 'analogies', 'mean')
WORDS_A_STEP = 52_400
POLL = 0.1  # seconds


def genjax(model, seed, text, word_sets, folder, epochs, words):
    """One run by python -m launch, with its speed and scores from its own record."""
    steps = round(words / WORDS_A_STEP)
    workdir = pathlib.Path(folder, 'run')
    start = time.perf_counter()
    config = dict(
        corpus=text, word_sets=word_sets, seed=seed, epochs=epochs, steps=steps, held_out=1000
    )
    flags = [f'--config.{name}={value}' for name, value in config.items()]
    flags += [f'--config.every.{name}={steps}' for name in ('evaluate', 'save')]
    process = subprocess.Popen(
        [sys.executable, '-m', 'launch', '--exp', EXPERIMENTS[model], '--workdir', workdir, *flags]
    )

    record = workdir / 'metrics.jsonl'
    first = None
    while process.poll() is None:
        if first is None and record.exists() and record.stat().st_size:
            first = time.perf_counter() - start
        time.sleep(POLL)

    rows = [json.loads(line) for line in record.read_text().splitlines()]
    shutil.rmtree(workdir)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    scores = {name: rows[-1][f'words/{name}'] for name in SCORES}
    begin, end = rows[0], rows[-2]
    running = end['time/seconds'] - begin['time/seconds']
    return dict(
        seconds=rows[-1]['time/seconds'],
        steady=(end['step'] - begin['step']) / steps / running,  # of the run, a second
        memory=memory,
        first=first,
        **scores,
    )


def gensim(model, seed, text, word_sets, cores, epochs):
    """One run in this process."""
    from gensim.models import FastText, Word2Vec

    from genjax.base import Embedding
    from genjax.data.words import read_sets
    from genjax.metrics.words import scores

    settings = dict(
        vector_size=100, window=5, negative=5, sample=1e-3, min_count=5, alpha=0.025, min_alpha=1e-4
    )
    kind = FastText if model == 'fasttext' else Word2Vec
    learner = kind(sg=int(model != 'cbow'), seed=seed + 1, workers=cores, **settings)
    learner.build_vocab(corpus_file=text)
    total = dict(total_examples=learner.corpus_count, total_words=learner.corpus_total_words)
    start = time.perf_counter()
    learner.train(corpus_file=text, epochs=epochs, **total)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    embedding = Embedding(learner.wv.index_to_key, learner.wv.vectors)
    all_scores = scores(embedding, *read_sets(word_sets))
    found = {name: all_scores[name] for name in SCORES}
    return dict(seconds=seconds, steady=1 / seconds, memory=memory, first=None, **found)


def run_here(side, model, seed, cores, text, word_sets, epochs, words):
    """Pins this process, makes one run and prints its figures as a line of JSON."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    if side == 'genjax':
        with tempfile.TemporaryDirectory() as folder:
            figures = genjax(model, seed, text, word_sets, folder, epochs, words)
    else:
        figures = gensim(model, seed, text, word_sets, cores, epochs)
    print(json.dumps(figures))


def run_in_process(*arguments):
    """`run_here` in a process of its own, so that no run warms another's memory or peak."""
    code = f'from benchmarks.word2vec import run_here; run_here(*{arguments!r})'
    done = subprocess.run(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--data', type=pathlib.Path, required=True)
    parser.add_argument('--models', default='skip_gram,cbow')
    parser.add_argument('--seeds', type=int, default=2)
    parser.add_argument('--cores', type=int, default=1)
    parser.add_argument('--epochs', type=int, default=5)
    parser.add_argument('--words', type=int, help='the first of the text; default all')
    options = parser.parse_args()
    header = (
        'model',
        'side',
        'seed',
        'words/s',
        'steady',
        'first metric, s',
        'memory, GiB',
        *SCORES,
    )
    print_row(header)
    print('|' + ' --- |' * len(header), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder, 'corpus.txt')
        corpus = lzma.decompress((options.data / 'text/corpus.txt.xz').read_bytes())
        text.write_bytes(b''.join(first_lines(corpus, options.words)) if options.words else corpus)
        words = len(text.read_bytes().split()) * options.epochs
        for model in options.models.split(','):
            compare(model, options, str(text), words)


def first_lines(corpus, words):
    """The first lines that have so many words or a few more."""
    count = 0
    for line in corpus.splitlines(keepends=True):
        if count >= words:
            return
        yield line
        count += len(line.split())


def print_row(cells):
    print('| ' + ' | '.join(map(str, cells)) + ' |', flush=True)


def compare(model, options, text, words):
    """A line for each run and one for the ratio of the medians."""
    speeds = {'gensim': [], 'genjax': []}
    means = {'gensim': [], 'genjax': []}
    for seed in range(options.seeds):
        for side in speeds:
            word_sets = str(options.data / 'words')
            run = run_in_process(
                side, model, seed, options.cores, text, word_sets, options.epochs, words
            )
            speed = words / run['seconds']
            steady = words * run['steady']
            speeds[side].append(speed)
            means[side].append(run['mean'])
            first = '' if run['first'] is None else f'{run["first"]:.1f}'
            memory = f'{run["memory"] / 2**20:.2f}'
            scores = [f'{100 * run[name]:.1f}' for name in SCORES]
            print_row(
                [model, side, seed, f'{speed:,.0f}', f'{steady:,.0f}', first, memory, *scores]
            )

    ratio = statistics.median(speeds['genjax']) / statistics.median(speeds['gensim'])
    gain = statistics.mean(means['genjax']) - statistics.mean(means['gensim'])
    print(
        f'{model}, {options.cores} cores: {ratio:.2f} times the words/s, '
        f'mean score {100 * gain:+.2f}',
        flush=True,
    )


if __name__ == '__main__':
    main()
