"""Skip-gram by `word2vec_file` on 21 million words, with several numbers of excerpts side by side.

The text is read once. A step has as many centres as there are excerpts times 64; larger ones are
for accelerators, and have the page's bound and rate for large steps.
"""

import itertools
import statistics

import jax
from ml_collections import ConfigDict

from benchmarks.accelerator.clock import timed
from benchmarks.accelerator.launches import rows_of
from benchmarks.accelerator.setting import Add, Setting, require_data
from benchmarks.word2vec import SCORES
from experiments._word2vec import word2vec_experiment
from experiments.word2vec_file import get_config
from genjax.algorithms.word2vec import negative_sampling, skip_gram
from genjax.data.text import Corpus, get_tokenizer, read_corpus
from genjax.data.text.sources import sentences_of
from genjax.training import Every, make_mesh, train

BATCHES = (256, 64, 1024)  # excerpts side by side
SMALL_LINES = 2000


def measure(setting: Setting, add: Add) -> None:
    """The stage."""
    path, word_sets = require_data(setting, 'text/corpus.txt.xz', 'words')
    config = get_config()
    config.word_sets = str(word_sets)
    source = str(path)
    if setting.small:
        source = list(itertools.islice(sentences_of(str(path), ''), SMALL_LINES))
        config.update(dict(epochs=1.0, steps=20, min_count=1, dimension=8, held_out=500))
        config.model.block = 8
    text, seconds = timed(lambda: read(source, config))
    words = int(text.vocabulary.counts.sum())
    add('reading', seconds, 's', f'{words:,} words, {len(text.vocabulary.words):,} different')
    for batch in (2, 4) if setting.small else BATCHES:
        measure_batch(setting, add, config, text, words, batch)


def read(source: str | list[str], config: ConfigDict) -> Corpus:
    """The text as the page reads it."""
    tokenize = get_tokenizer(config.tokenizer).split
    return read_corpus(
        source, min_count=config.min_count, max_size=config.max_size, tokenize=tokenize
    )


def measure_batch(
    setting: Setting, add: Add, config: ConfigDict, text: Corpus, words: int, batch: int
) -> None:
    """One run: its words a second, its seconds in all, its scores."""
    config = ConfigDict(config.to_dict())
    config.batch = batch
    if batch >= 64:
        config.bound = 0.3
        config.rate = (0.05, 1e-4)
    config.every.evaluate = config.steps  # once, at the end
    output = negative_sampling(text.vocabulary.counts, **config.noise)
    experiment = word2vec_experiment(config, text, skip_gram(**config.model), output)
    experiment.probes.pop('vectors')  # files of the vectors
    centres = batch * config.model.block
    every = Every(max(1, config.steps // 20), config.steps, config.steps)
    workdir = setting.work / f'words-{batch}'
    mesh = make_mesh(jax.devices()[:1])
    train(experiment, seed=0, steps=config.steps, mesh=mesh, workdir=workdir, every=every)

    rows = rows_of(workdir / 'metrics.jsonl')
    rates = [row['time/steps_per_second'] for row in rows[1:] if 'time/steps_per_second' in row]
    words_a_step = words * config.epochs / config.steps
    what = f'{centres:,} centres a step'
    last = rows[-1]
    add(f'{what}, rate', statistics.median(rates) * words_a_step / 1e6, 'million words/s')
    add(f'{what}, training in all', last['time/seconds'], 's', 'compiling included')
    add(f'{what}, test loss', last['test/loss'], 'nats')
    for name in SCORES:
        if f'words/{name}' in last:
            add(f'{what}, {name}', 100 * last[f'words/{name}'], '%')
