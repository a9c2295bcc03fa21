"""Wrong inputs of every kind: each is refused in exactly one line, and leaves the disk as it was.

More rows of the same table stand where their subjects are tested: command lines in test_launch.py
and test_slurm.py, sweeps in test_sweep.py, images in test_pixels.py, files of word vectors in
test_vectors.py, state dicts in test_statedict.py, test sets of words in test_wordsets.py,
checkpoints in test_checkpoint.py. In messages FILE is the path of the file that is wrong.
"""

import gzip
import hashlib
import io
import lzma
import os
import pickle
import random
import signal
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save as packed

from genjax.data.images import builders, prepare
from genjax.data.images.sets import images
from genjax.data.text import read_corpus, read_vocabulary
from genjax.data.words.hypernyms import read_bless, read_wordnet
from genjax.data.words.sets import read_analogies, read_sets, read_similarity
from genjax.data.words.vectors import load
from genjax.networks.inception.state_dict import MAGIC, read_arrays
from genjax.networks.inception.weights import load_inception
from launch.__main__ import main
from launch.cli.flat import flat
from launch.cli.refusal import Refused
from launch.run.planning import plan
from tests.contracts.test_contracts import EXPERIMENTS, smoke, tiny_sets  # noqa: F401, a fixture
from tests.data.images.tiny_sets import MNIST_FILES, idx, tiny_cifar, tiny_mnist


def digest(folder):
    """Of every name under a folder and of what is in every file."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob('*')):
        found.update(
            f'{path} {path.is_dir()}'.encode() + (path.read_bytes() if path.is_file() else b'')
        )
    return found.hexdigest()


def refusal_of(folder, file, act, *arguments, **options):
    """The one line with which something is refused that changes nothing in the folder; FILE stands
    for the file."""
    before = digest(folder)
    with pytest.raises((ValueError, OSError)) as error:
        act(*arguments, **options)
    assert digest(folder) == before
    return str(error.value).replace(str(file), 'FILE')


# an experiment with what all its lines have -> {the rest of a command line: what is said}
COMMANDS = {
    'pca_digits': {
        f'--fold={"9" * 5000}': f'--fold is {"9" * 5000}; it takes a whole number, 1 or more',
        '--fold=1000001': '--fold is 1000001; it takes 1 to 1000000',
        '--workdir=~nobody_at_all/run': '--workdir is ~nobody_at_all/run; nobody here has that '
        'home folder',
        '--until=-1': '--until is -1; it takes a whole number, 1 or more',
        '--until=1_0': '--until is 1_0; it takes a whole number, 1 or more',
        '--mesh=data=999999999999999999999999999999': '--mesh is '
        'data=999999999999999999999999999999; it takes '
        'data=N or data=N,model=M',
        '--config.=1': '--config. is not in the config; there are: batch, dimension, '
        'every.evaluate, every.log, '
        'every.save, ranks, seed, steps',
        '--config.ranks=(1,(2,3))': '--config.ranks takes a tuple like (1, 2, 4, 8, 16, 32, 64), '
        'not (1,(2,3))',
        f'--config.ranks={"(" * 300}': '--config.ranks takes a tuple like (1, 2, 4, 8, 16, 32, '
        f'64), not {"(" * 300}',
        '--config.batch=1\n2': '--config.batch takes an int, not 1 2',
        '--config.dimension=2147483648': '--config.dimension is 2147483648; a whole number takes '
        'at most 2147483647',
        '--config.ranks=(1,99999999999)': '--config.ranks is (1, 99999999999); a whole number '
        'takes at most 2147483647',
    },
    'autoencoder_digits --config.batch=96': {
        '--config.adamw.weight_decay=-1': '--config.adamw.weight_decay is -1.0; it takes 0 or more',
    },
    'iwae_mnist': {
        '--config.adam.b1=1.0': '--config.adam.b1 is 1.0; it takes 0 or more, below 1',
    },
    'pca_digits --config.batch=96': {
        '--config.dimension=0': 'dimension is 0; at least 1 component is needed',
        '--config.ranks=(1,65)': 'ranks are (1, 65); digits have 64 pixels',
    },
    'vae_digits --config.batch=96': {
        '--config.learning_rate=-1e-3': '--config.learning_rate is -0.001; it takes 0 or more',
        '--config.latent=-2': 'latent is -2; at least 1 dimension is needed',
        '--config.widths=(8,0)': 'widths are (8, 0), shape (2, 2); all must be positive integers',
        '--config.widths=(999999999,999999999)': 'the state takes 29,802,324,384 GiB on each '
        'device; at most 512 '
        'GiB are allowed',
        '--config.elbo.beta=-1': 'elbo of beta -1.0, free_nats 0.0, samples 1; needed: >= 0, >= '
        '0, >= 1',
        '--config.scale=0': 'scale is 0.0; a standard deviation must be positive',
        '--config.importance=26': 'samples is 26, in chunks of 25; a chunk must divide them',
        '--config.samples=19': 'n is 19; the measures need at least 20 samples',
        '--config.classifier=0': 'steps of the classifier are 0; at least 1 is needed',
    },
    'ddpm_digits': {
        '--config.ddpm.steps=1': 'steps is 1; a diffusion takes 2 to 1000000',
        '--config.ddpm.steps=1000000000': 'steps is 1000000000; a diffusion takes 2 to 1000000',
        '--config.size=1000000': 'size is 1000000; images are at most 4096 pixels wide',
        '--config.unet.blocks=1000000': 'blocks is 1000000; it takes 1 to 100',
        '--config.sampler.steps=50': 'sampler.steps is 50; a reverse_chain takes all 500: 0, or '
        'another name',
        '--config.sampler.name=ddmi': 'sampler.name is ddmi; it must be one of reverse_chain, '
        'ancestral, churn, ddim, dpm2, dpm3, euler, heun, sde, unipc2, unipc3',
        '--config.sampler.times=even': 'sampler.times is even; it must be one of leading, trailing',
    },
    'flow_digits': {
        '--config.sampler.steps=1000000000': 'sampler.steps is 1000000000; it takes 1 to 1000000',
        '--config.sampler.interval=(2.0,)': 'sampler.interval is (2.0,); it takes two noise '
        'levels, (low, high)',
    },
    'diffusion_plane': {
        '--config.data_deviation=0': 'data_deviation is 0.0; it must be positive',
    },
    'gan_finite': {
        '--config.p=(0.5,0.6)': 'p is [0.5, 0.6000000238418579]; probabilities must be a row of '
        'positive numbers '
        'with the sum 1',
        '--config.batch=80000000': 'batch is 80000000, test 80000000; both take 1 to 1000000',
        '--config.game=chess': 'game is chess; it must be one of minimax, non_saturating',
    },
    'mixture_digits --config.batch=1496': {
        '--config.components=0': '0 components, rows 256, floor 0.01; needed: at least 1, 1 and 0',
        '--config.sizes=()': 'sizes are (), fit is 50; needed: 1 to 1496 components, 1 step or '
        'more',
        '--config.fit=0': 'sizes are (1, 2, 5, 10, 15, 20, 30, 40, 60), fit is 0; needed: 1 to '
        '1496 components, '
        '1 step or more',
    },
    'bayes_digits --config.batch=96': {
        '--config.subsets=0': 'subsets is 0; it takes 1 to 1000',
        '--config.mixture.floor=-1': '3 components, rows 256, floor -1.0; needed: at least 1, 1 '
        'and 0',
    },
    'kl_fit': {
        '--config.mixture.weights=(0.5,0.5,0.5)': 'weights are (0.5, 0.5, 0.5); they must be '
        'positive and sum to 1',
        '--config.examples=1000000000': 'examples is 1000000000; it takes 1 to 10000000',
        '--config.mixture.means=((0.0,0.0),)': 'weights, means and covariances are [(3,), (1, 2), '
        '(3, 2, 2)]; '
        'needed: [K], [K, 2], [K, 2, 2]',
    },
    'kl_fit --config.mixture.weights=(1.0,) --config.mixture.means=((0.0,0.0),)': {
        '--config.mixture.covariances=(((1.0,2.0),(2.0,1.0)),)': 'covariances are (((1.0, 2.0), '
        '(2.0, 1.0)),); they '
        'must be positive definite',
    },
    'word2vec_file': {
        '': "the corpus is ''; name a text file, docs, text8 or tfds:NAME",
        '--config.corpus=texts': "[Errno 21] Is a directory: 'texts'",
        '--config.corpus=~none/text': 'there is no file ~none/text, nor is it docs, text8 or '
        'tfds:NAME',
        '--config.corpus=txet': 'there is no file txet; did you mean text?',
    },
    'word2vec_file --config.corpus=text': {
        '--config.min_count=999': 'text has 6 different words, 0 of them kept at min_count 999; a '
        'vocabulary '
        'needs at least 2',
        '--config.rate=(0.1,)': 'rate is (0.1,); it takes two numbers of 0 or more, at the start '
        'and at the end',
        '--config.bound=none_at_all': "the bound of a step is 'none_at_all'; it takes a number "
        'above 0',
        '--config.sample=-1': 'sample is -1.0; it takes a number of 0 or more, 0 for no '
        'subsampling',
        '--config.model.window=1000000000': 'window is 1000000000; it takes 1 to 1000',
        '--config.noise.shared=0': 'shared is 0; it takes 1 to 1000000',
        '--config.held_out=9999': 'words to hold out are 9,999; at least 1 of 480, and not every '
        'sentence',
    },
    'word2vec_file --config.corpus=text --config.held_out=5': {
        '--config.word_sets=texts': 'texts holds no word sets; known are men.tsv, '
        'wordsim353_sim.tsv, '
        'wordsim353_rel.tsv, simlex999.tsv, rg65.tsv, questions-words.txt',
    },
    'hmm_text --config.corpus=text --config.held_out=5 --config.batch=8 --config.steps=6': {
        '--config.stay=1': 'stay is 1.0; a probability inside (0, 1) is needed',
        '--config.power=-1': 'power is -1.0; step sizes need 0 to 1',
    },
    'glove_file --config.corpus=text --config.dimension=2 --config.held_out=5': {
        '--config.counting.window=23': 'window is 23; weights of 1/d take 1 to 22',
        '--config.weight.x_max=0.0': 'x_max is 0.0, alpha 0.75; needed: a number above 0, one of '
        '0 or more',
        '--config.dimension=0': 'dimension is 0; at least 1 is needed',
    },
    'ppmi_file --config.corpus=text --config.dimension=2 --config.held_out=5': {
        '--config.window=1000000000': '6 words, window 1000000000, weights [1000000000, '
        '999999999, 999999998, '
        '999999997, 999999996, 999999995, 999999994, 999999993, 999999992], margin 1000000000, '
        'smoothing 1.0; '
        'needed: 1 or more, 1 to 1000, integers of 1 or more, 0 or more, above 0',
    },
    'ngram_file --config.corpus=text --config.held_out=5': {
        '--config.batch=80000': 'batch is 80000, overlap 2; 553 places allow 1 to 553, and 0 to '
        '1000',
        '--config.tokenizer=letters': "tokenizer is 'letters'; known are words, characters, spaces",
    },
}


LINES = [
    (f'{start} {rest}'.split(' '), line)
    for start, rows in COMMANDS.items()
    for rest, line in rows.items()
]


@pytest.mark.parametrize(('words', 'line'), LINES)
def test_a_command_line_is_refused_and_makes_no_run(words, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text').write_text('the cat sat on the mat\nthe dog sat on the cat\n' * 40)
    (tmp_path / 'texts').mkdir()
    before = digest(tmp_path)
    assert main(['--exp', *filter(None, words)]) == 2
    assert capsys.readouterr() == ('', f'{line}\n')
    assert digest(tmp_path) == before


FLOATS = np.ones(2, '<f4').tobytes()
ENDLESS = b'x' * 200_000


def gz(content):
    return gzip.compress(content, mtime=0)


def zipped(files, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def encrypted(content):
    """A zip whose flags say that its one file needs a password."""
    raw = bytearray(zipped({'a.txt': content}))
    raw[6] |= 1
    raw[raw.rindex(b'PK\1\2') + 8] |= 1
    return bytes(raw)


def foreign(dtype):
    """safetensors of a type of two bytes that numpy does not have."""
    header = f'{{"x":{{"dtype":"{dtype}","shape":[1],"data_offsets":[0,2]}}}}'.encode()
    return struct.pack('<Q', len(header)) + header + b'\0\0'


def words(vectors, ends, text=b'ab'):
    return packed(
        {'vectors': vectors, 'ends': np.array(ends), 'words': np.frombuffer(text, np.uint8)}
    )


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pth(content):
    return (
        b''.join(pickle.dumps(part, 2) for part in (MAGIC, 1001, {'little_endian': True})) + content
    )


def torch_zip(**files):
    return zipped({f'a/{name.replace("_", ".")}': content for name, content in files.items()})


def read_images(path):
    return builders.read_idx(path, 28, 28)


def bless(path):
    return read_bless(path, path.with_name('relations.tsv'))


LINKS, PAIRS = 'lemma\thypernym\tsense\tsteps\n', 'word1\tword2\tlabel\n'
# (file, what reads it) -> [(its content, or None for no file and ... for a folder; the line)]
FILES = {
    ('missing.bin', load): [
        (None, "[Errno 2] No such file or directory: 'FILE'"),
    ],
    ('folder.bin', load): [
        (..., "[Errno 21] Is a directory: 'FILE'"),
    ],
    ('v.pkl', load): [
        (b'', "FILE ends in '.pkl'; known are .txt, .vec, .bin, .safetensors"),
    ],
    ('v.bin', load): [
        (b'', "FILE: the first line is b''; wanted are two numbers, words and dimensions"),
        (
            b'-1 2\n',
            "FILE: the first line is b'-1 2'; wanted are two numbers, words and dimensions",
        ),
        (
            b'1 -2\na ',
            "FILE: the first line is b'1 -2'; wanted are two numbers, words and dimensions",
        ),
        (
            b'1 99999999999999\na ' + FLOATS,
            'FILE: the header says 1 words and the bytes end in word 1',
        ),
        (
            b'9' * 90 + b' 2\na ' + FLOATS,
            'FILE: the first line is '
            "b'999999999999999999999999999999999999999999999999999999999999'; wanted are "
            'two numbers, words and dimensions',
        ),
        (
            b'1 2\n ' + FLOATS,
            "FILE: word 1 is ''; this format holds no empty words, spaces or newlines",
        ),
        (
            b'1 2\na\nb ' + FLOATS,
            "FILE: word 1 is 'a\\nb'; this format holds no empty words, spaces or newlines",
        ),
        (
            b'1 2\na ' + np.array([1, np.nan], '<f4').tobytes(),
            'FILE: word 1 has a number that is not finite',
        ),
    ],
    ('v.txt', load): [
        (b'2 2\na 1 2\nb 1 nan\n', 'FILE: word 2 has a number that is not finite'),
        (b'1 2\na 1 1e39\n', 'FILE: word 1 has a number that is not finite'),
        (
            b'1 2\n 1 2\n',
            "FILE: word 1 is ''; this format holds no empty words, spaces or newlines",
        ),
        (
            b'9' * 5000 + b' 2\n',
            'FILE: the first line is '
            "b'999999999999999999999999999999999999999999999999999999999999'; wanted are "
            'two numbers, words and dimensions',
        ),
    ],
    ('v.vec', load): [
        (
            b'1 2 3\na 1 2\n',
            "FILE: the first line is b'1 2 3'; wanted are two numbers, words and dimensions",
        ),
    ],
    ('v.safetensors', load): [
        (
            b'',
            'FILE: this is no safetensors file of numpy arrays: Error while deserializing: header '
            'too small',
        ),
        (
            struct.pack('<Q', 2**62) + b'{}',
            'FILE: this is no safetensors file of numpy arrays: Error while deserializing: header '
            'too large',
        ),
        (
            foreign('\N{LINE SEPARATOR}'),
            'FILE: this is no safetensors file of numpy arrays: Error while deserializing: '
            'invalid JSON in header: '
            'unknown variant ` `, expected one '
            'of `BOOL`, `F4`, `F6_E2M3`, `F6_E3M2`, `U8`, `I8`, `F8_E5M2`, `F8_E4M3`, '
            '`F8_E8M0`, `F8_E4M3FNUZ`, `F8_E5M2FNUZ`, `I16`, `U16`, `F16`, `BF16`, `I32`, `U32`, '
            '`F32`, `C64`, `F64`, '
            '`I64`, `U64` at line 1 column 54',
        ),
        (foreign('BF16'), "FILE: this is no safetensors file of numpy arrays: 'BF16'"),
        (
            words(np.ones((0, 2), np.float32), np.array([], np.int64), b''),
            'FILE: the vectors are [0, 2]; wanted are words and dimensions, none 0',
        ),
        (
            words(np.ones((2, 1), np.float32), [-1, 2]),
            'FILE: the ends do not divide 2 bytes into 2 words',
        ),
        (
            words(np.full((2, 1), np.inf, np.float32), [1, 2]),
            'FILE: word 1 has a number that is not finite',
        ),
        (
            words(np.ones((2, 1), np.float32), [1, 2], b'aa'),
            "FILE: words 1 and 2 are both 'a'; each may be there once",
        ),
    ],
    ('c.txt', read_corpus): [
        (b'', 'FILE has no words'),
        (
            b'once ' * 9,
            'FILE has 1 different words, 1 of them kept at min_count 5; a vocabulary needs at '
            'least 2',
        ),
        (b'fine\nna\xefve\n', 'FILE is not UTF-8: byte 0xef in line 2 begins no character'),
        (
            ENDLESS,
            'FILE has 4 different words, 1 of them kept at min_count 5; a vocabulary needs at '
            'least 2',
        ),
        (b'fine\nT\0h\0e\0', 'FILE is no text: line 2 has a byte of 0'),
    ],
    ('c.gz', read_corpus): [
        (
            gz(b'some words')[:-9],
            'FILE is damaged or cut short: Compressed file ended before the end-of-stream marker '
            'was reached',
        ),
        (b'some words', "FILE is damaged or cut short: Not a gzipped file (b'so')"),
    ],
    ('c.xz', read_corpus): [
        (
            lzma.compress(b'some words')[:-9],
            'FILE is damaged or cut short: Compressed file ended before the end-of-stream marker '
            'was reached',
        ),
    ],
    ('c.zip', read_corpus): [
        (b'some words', 'FILE is damaged or cut short: File is not a zip file'),
        (zipped({'a': b'', 'b': b''}), 'FILE holds 2 files; a text is one'),
        (
            encrypted(b'some words'),
            "FILE is damaged or cut short: File 'a.txt' is encrypted, password required for "
            'extraction',
        ),
    ],
    ('vocabulary.tsv', read_vocabulary): [
        (b'', "FILE, line 1 is ''; each line must be a new word, a tab and its count"),
        (
            b'a\t2\na\t1\n',
            "FILE, line 2 is 'a\\t1'; each line must be a new word, a tab and its count",
        ),
        (b'a\t-2\n', "FILE, line 1 is 'a\\t-2'; each line must be a new word, a tab and its count"),
        (
            b'a\t' + b'9' * 20 + b'\n',
            "FILE, line 1 is 'a\\t99999999999999999999'; each line must be a new word, a tab and "
            'its count',
        ),
        (b'\xff\t2\n', 'FILE is not UTF-8: byte 0 begins no character'),
    ],
    ('sets', read_sets): [
        (
            ...,
            'FILE holds no word sets; known are men.tsv, wordsim353_sim.tsv, wordsim353_rel.tsv, '
            'simlex999.tsv, '
            'rg65.tsv, questions-words.txt',
        ),
    ],
    ('men.tsv', read_similarity): [
        (None, "[Errno 2] No such file or directory: 'FILE'"),
        (b'a b inf\nc d inf\n', "FILE line 2 is 'c d inf'; wanted are two words and a score"),
    ],
    ('questions', read_analogies): [
        (b'\xfe\xff', 'FILE is not UTF-8 text, at byte 0'),
    ],
    ('wordnet.tsv', read_wordnet): [
        (b'', 'FILE has no column lemma; it needs lemma, hypernym, sense, steps'),
        (
            LINKS.encode() + b'a\tb\tx\t1\n',
            "FILE line 2 has sense 'x', steps '1'; both are 1 or more",
        ),
        (
            LINKS.encode() + b'\na\tb\t1\t-1\n',
            "FILE line 3 has sense '1', steps '-1'; both are 1 or more",
        ),
        (
            LINKS.encode() + b'a\tb\t1\n',
            'FILE has a line 2 of too few columns; it needs lemma, hypernym, sense, steps',
        ),
        (LINKS.encode() + b'\xff', 'FILE is not UTF-8 text, at byte 27'),
    ],
    ('pairs.tsv', bless): [
        (PAIRS.encode() + b'a\tb\tyes\n', "FILE line 2 has the label 'yes'; it is 0 or 1"),
    ],
    ('w.pth', read_arrays): [
        (
            pickle.dumps(Calls(os.system, 'touch run'), 0),
            "this is no state dict of torch.save: it wants 'posix.system', which no state dict of "
            'weights needs',
        ),
        (
            torch_zip(data_pkl=pickle.dumps(Calls(eval, "open('run', 'w')"), 4)),
            "this is no state dict of torch.save: it wants 'builtins.eval', which no state dict "
            'of weights needs',
        ),
        (
            pth(pickle.dumps({'x': Calls(exec, 'import os; os.mkdir("run")')}, 2)),
            "this is no state dict of torch.save: it wants '__builtin__.exec', which no state "
            'dict of weights needs',
        ),
        (b'\x80\x02}r' + struct.pack('<I', 2**31 - 1) + b'.', 'this is no file of torch.save'),
        (
            b'\x80\x04\x8e' + struct.pack('<Q', 2**62) + b'.',
            'this is no state dict of torch.save: MemoryError',
        ),
    ],
    ('w.npz', read_arrays): [
        (
            zipped({'x.npy': b'\x93NUMPY'}),
            'the zip has 0 entries named data.pkl; a file of torch.save has one',
        ),
    ],
    ('bomb.pth', read_arrays): [
        (
            zipped({'a/data.pkl': bytes(10**7)}, compression=zipfile.ZIP_DEFLATED),
            'the zip is compressed; torch.save stores',
        ),
    ],
    ('w.safetensors', read_arrays): [
        (
            b'\0' * 8,
            'this is no safetensors file of numpy arrays: Error while deserializing: invalid JSON '
            'in header: EOF '
            'while parsing a value at line 1 column 0',
        ),
        (foreign('BF16'), "this is no safetensors file of numpy arrays: 'BF16'"),
    ],
    ('w.pth', load_inception): [
        (
            ...,
            'there is no file FILE; InceptionV3 needs pt_inception-2015-12-05-6726825d.pth, '
            'published at '
            'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth',
        ),
        (
            torch_zip(data_pkl=pickle.dumps(Calls(os.remove, 'w.pth'), 2)),
            'FILE does not hold the weights of InceptionV3: this is no state dict of torch.save: '
            'it wants '
            "'posix.remove', which no state dict of weights needs",
        ),
    ],
    ('w.safetensors', load_inception): [
        (
            packed({'fc.bias': np.ones(1008, np.float32)}),
            'FILE does not hold the weights of InceptionV3: the entry '
            'Conv2d_1a_3x3.bn.running_mean is missing',
        ),
    ],
    ('i.gz', read_images): [
        (None, "[Errno 2] No such file or directory: 'FILE'"),
        (b'', "FILE starts with b''; an IDX file of bytes, 3 axes, with b'\\x00\\x00\\x08\\x03'"),
        (
            gz(b''),
            "FILE starts with b''; an IDX file of bytes, 3 axes, with b'\\x00\\x00\\x08\\x03'",
        ),
        (
            gz(b'\0\0\x08\3' + b'\x7f\xff\xff\xff' * 3),
            'FILE has 0 bytes as [2147483647, 2147483647, 2147483647]; [N, 28, 28] are needed',
        ),
        (
            idx(np.zeros((2, 20, 20), np.uint8)),
            'FILE has 800 bytes as [2, 20, 20]; [N, 28, 28] are needed',
        ),
    ],
    ('i.gz', builders.read_idx): [
        (
            gz(b'\0\0\x0d\1' + bytes(8)),
            "FILE starts with b'\\x00\\x00\\r\\x01'; an IDX file of bytes, 1 axes, with "
            "b'\\x00\\x00\\x08\\x01'",
        ),
        (gz(b'\0\0\x08\1\0'), 'FILE has 0 bytes as [0]; [N] are needed'),
        (gz(b'\0\0\x08\1' + b'\xff' * 4), 'FILE has 0 bytes as [-1]; [N] are needed'),
    ],
}


ROWS = [(*file, *row) for file, rows in FILES.items() for row in rows]


# Files packed here may hold the time, and a test's name must be the same in every worker: content
# is not in it.
@pytest.mark.parametrize(
    ('name', 'read', 'content', 'line'), ROWS, ids=[f'{row[0]}-{row[3]}' for row in ROWS]
)
def test_a_file_is_refused_and_nothing_is_touched(name, read, content, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'relations.tsv').write_text('concept\trelatum\trelation\n')
    if content is ...:
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    assert refusal_of(tmp_path, tmp_path / name, read, tmp_path / name) == line


def with_label(label):
    return lambda content: idx(np.full(130, label, np.uint8))


def with_a_bit_flipped(content):
    return content[:300] + bytes([content[300] ^ 1]) + content[301:]


# (which file of MNIST, what becomes of it, the line); its checksum is right, but for the last
MNIST = [
    (
        0,
        lambda content: content[:-100],
        'FILE is damaged or cut short: Compressed file ended before the end-of-stream marker was '
        'reached',
    ),
    (
        0,
        lambda content: b'<html>not found</html>',
        "FILE is damaged or cut short: Not a gzipped file (b'<h')",
    ),
    (0, with_a_bit_flipped, 'FILE is damaged or cut short: CRC check failed'),
    (
        0,
        lambda content: gz(gzip.decompress(content)[:-5]),
        'FILE has 101915 bytes as [130, 28, 28]; [N, 28, 28] are needed',
    ),
    (
        2,
        lambda content: idx(np.zeros((20, 784), np.uint8)),
        "FILE starts with b'\\x00\\x00\\x08\\x02'; an IDX file of bytes, 3 axes, with "
        "b'\\x00\\x00\\x08\\x03'",
    ),
    (
        1,
        lambda content: idx(np.zeros(129, np.uint8)),
        'FILE has 129 labels up to 0; 130 of 0 to 9 are needed',
    ),
    (1, with_label(10), 'FILE has 130 labels up to 10; 130 of 0 to 9 are needed'),
]


@pytest.mark.parametrize(('which', 'change', 'line'), MNIST)
def test_a_file_of_mnist_is_refused_and_nothing_is_prepared(which, change, line, place, tmp_path):
    _, files = tiny_mnist(np.random.default_rng(0))
    files[MNIST_FILES[which]] = change(files[MNIST_FILES[which]])
    place(tmp_path / 'mnist', files)
    assert (
        refusal_of(
            tmp_path,
            tmp_path / 'mnist' / MNIST_FILES[which],
            images,
            'mnist',
            batch=4,
            seed=0,
            data_dir=str(tmp_path),
        )
        == line
    )


def repacked(content, change):
    """The archive with some of its files changed, or without them."""
    archive = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as tar,
        tarfile.open(fileobj=archive, mode='w:gz') as repacked_tar,
    ):
        for member in tar:
            if (
                inner := change(member.name.split('/')[1], tar.extractfile(member).read())
            ) is not None:
                member.size = len(inner)
                repacked_tar.addfile(member, io.BytesIO(inner))
    return archive.getvalue()


def only(name, change):
    return lambda content: repacked(
        content, lambda found, inner: change(inner) if found == name else inner
    )


CIFAR = [
    (
        lambda content: content[:-1000],
        'FILE is damaged or cut short: Compressed file ended before the end-of-stream marker was '
        'reached',
    ),
    (lambda content: gz(b'no tar'), 'FILE is damaged or cut short: truncated header'),
    (
        only('test_batch.bin', lambda content: None),
        'FILE holds no cifar-10-batches-bin/test_batch.bin',
    ),
    (
        only('test_batch.bin', lambda content: content[:-7]),
        'FILE has 61453 bytes to test on; records are of 3073',
    ),
    (
        only('test_batch.bin', lambda content: b'\xff' + content[1:]),
        'FILE has 20 labels up to 255; 20 of 0 to 9 are needed',
    ),
    (only('batches.meta.txt', lambda content: b'cat dog'), 'FILE names 2 classes; 10 are needed'),
]


@pytest.mark.parametrize(('change', 'line'), CIFAR)
def test_an_archive_of_cifar10_is_refused_and_nothing_is_prepared(change, line, place, tmp_path):
    (name, content), *_ = tiny_cifar(np.random.default_rng(0))[1].items()
    place(tmp_path / 'cifar10', {name: change(content)}, builders.Cifar10)
    assert (
        refusal_of(
            tmp_path,
            tmp_path / 'cifar10' / name,
            images,
            'cifar10',
            batch=4,
            seed=0,
            data_dir=str(tmp_path),
        )
        == line
    )


RECORDS = 'mnist-train.array_record-00000-of-00001'
# (a file of the prepared set, what becomes of it or None if it goes, the line)
PREPARED = [
    (
        'dataset_info.json',
        None,
        'FILE/3.0.1 holds no set as TFDS prepares it: Could not read dataset info from '
        'FILE/3.0.1/dataset_info.json',
    ),
    (
        'dataset_info.json',
        lambda content: content[:99],
        'FILE holds no set as TFDS prepares it: Failed to load JSON: Unterminated string starting '
        'at: line 2 '
        'column 15 (char 16).',
    ),
    (
        'dataset_info.json',
        lambda content: b'[]',
        'FILE holds no set as TFDS prepares it: The constructed DatasetInfo instance and the '
        'restored proto '
        'version do not match. Builder version: 3.0.1. Proto version:',
    ),
    (
        'features.json',
        None,
        'FILE/3.0.1 holds no set as TFDS prepares it: Cannot restore mnist/3.0.1. It likely means '
        'the dataset was '
        'generated with an old TFDS version (<=3.2.1).',
    ),
    (
        'features.json',
        lambda content: b'{}',
        'FILE/3.0.1 holds no set as TFDS prepares it: Python class name must contain a dot, got: '
        '""',
    ),
    (
        RECORDS,
        None,
        "[Errno 2] No such file or directory: 'FILE/3.0.1/mnist-train.array_record-00000-of-00001'",
    ),
    (
        RECORDS,
        lambda content: b'',
        'FILE/3.0.1 is damaged: ArrayRecord file should be at least 64KB big',
    ),
    (
        RECORDS,
        lambda content: content[:-500],
        'FILE/3.0.1 is damaged: Corrupted Riegeli/records file: chunk header hash mismatch',
    ),
]


@pytest.fixture
def prepared(place, tmp_path):
    place(tmp_path / 'mnist', tiny_mnist(np.random.default_rng(0))[1])
    prepare.open_set('mnist', str(tmp_path))
    return tmp_path / 'mnist' / '3.0.1'


@pytest.mark.parametrize(('name', 'change', 'line'), PREPARED)
def test_a_prepared_set_that_is_broken_is_refused(name, change, line, prepared, tmp_path):
    file = prepared / name
    file.unlink() if change is None else file.write_bytes(change(file.read_bytes()))
    said = refusal_of(
        tmp_path, tmp_path / 'mnist', images, 'mnist', batch=4, seed=0, data_dir=str(tmp_path)
    )
    assert said.partition(' (computed')[0] == line


NUMBERS = {
    int: ('0', '-1', '1000000000', '99999999999'),
    float: ('0', '-1', '1e9', '1e30'),
    type(None): ('0', '-1', 'x'),
}
LEFT = 'seed', 'data_dir', 'batch'  # and what validation.py alone checks: steps of every kind


def extremes(value):
    """Texts of values that are out of the way, of a config's kind."""
    if not isinstance(value, tuple):
        return NUMBERS.get(type(value), ())
    ends = (
        [(extreme, *value[1:]) for extreme in (0, -1, 10**9)]
        if value and type(value[0]) in (int, float)
        else []
    )
    return map(repr, [(), value * 2, value[:1], *ends])


def points(names):
    """(experiment, its smoke command's settings, a key, an extreme of it) for every number in the
    configs."""
    for name in names:
        module, config = smoke(name)
        small, own = (flat(c.to_dict()) for c in (config, module.get_config()))
        batch = 80 if config.batch % 8 else config.batch  # tests see 8 devices
        base = {key: value for key, value in small.items() if value != own[key]} | {
            'batch': batch,
            'steps': 4,
        }
        for key in (key for key in small if key not in LEFT and not key.startswith('every.')):
            yield from ((name, base, key, text) for text in extremes(small[key]))


class Slow(BaseException):
    """Not an Exception, which the launcher may refuse."""


def is_planned_or_refused(name, base, key, text, folder):
    """No other error, no hang, and nothing below 0 where something is counted."""

    def late(*_):
        raise Slow(f'{name} --config.{key}={text}')

    words = [f'--exp={name}', f'--workdir={folder / "run"}']
    words += [f'--config.{k}={v}' for k, v in (base | {key: text}).items()]
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    try:
        plan(words + [f'--data_dir={folder}'] * ('data_dir' in smoke(name)[1]))
        assert not (text == '-1' and isinstance(flat(smoke(name)[1].to_dict())[key], int)), (
            f'{name} {key}'
        )
        return True
    except Refused as refusal:
        assert len(str(refusal).splitlines()) == 1, f'{name} {key}'
        return False
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


SMALL = (
    'autoencoder_digits',
    'ddpm_digits',
    'gan_finite',
    'gan_digits',
    'hmm_text',
    'kl_fit',
    'wgan_toy',
    'ngram_file',
)


def test_some_extremes_of_configs_are_planned_or_refused(tmp_path):
    found = list(points(SMALL))
    assert len(found) > 150
    planned = [
        is_planned_or_refused(*point, tmp_path) for point in random.Random(0).sample(found, 16)
    ]
    assert {True, False} == set(planned) and not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('name', EXPERIMENTS)
def test_all_extremes_of_configs_are_planned_or_refused(name, tiny_sets):  # noqa: F811
    _, base, *_ = next(points([name]))
    assert is_planned_or_refused(
        name, base, 'seed', '0', tiny_sets
    )  # the sets are prepared, and the base is sound
    before = digest(tiny_sets)
    for point in points([name]):
        is_planned_or_refused(*point, tiny_sets)
    assert digest(tiny_sets) == before
