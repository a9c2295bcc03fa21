"""Pictures of made-up results."""

import json

import matplotlib.image

from benchmarks.accelerator import pictures
from benchmarks.accelerator.report import Outcome, Run
from tests.benchmarks.accelerator.test_report import CHIP, row

TRAINING = [row(f'train step, {n} in a call', 20 + 5 / n, 'ms') for n in (20, 1, 5, 100)]
WORDS = [
    row('16,384 centres a step, rate', 44.0),
    row('16,384 centres a step, mean', 51.0),
    row('4,096 centres a step, rate', 20.0),
]
RUN = Run(
    'today',
    False,
    9.0,
    {
        'chip': Outcome('chip', 'done', 12.0, 45.0, CHIP),
        'unet_bfloat16': Outcome('unet_bfloat16', 'done', 100.0, 170.0, TRAINING),
        'word2vec': Outcome('word2vec', 'stopped: its 80 s were over', 80.0, 80.0, WORDS),
    },
)


def test_each_is_drawn_where_its_stage_has_left_something(tmp_path):
    kernels = [
        {'ms': 1 / (i + 1), 'calls': 1, 'matrix': i % 2 == 0, 'name': f'kernel_{i}' * 9}
        for i in range(40)
    ]
    (tmp_path / 'kernels_bfloat16.json').write_text(json.dumps(kernels))
    pictures.draw(RUN, tmp_path, 'word2vec')
    assert drawn(tmp_path) == {'word2vec', 'stages'}
    pictures.draw(RUN, tmp_path)
    assert drawn(tmp_path) == {'kernels_bfloat16', 'stages', 'steps_per_call', 'word2vec'}
    for path in tmp_path.glob('*.png'):
        assert matplotlib.image.imread(path)[..., :3].std() > 0.02  # not blank


def drawn(folder):
    return {path.stem for path in folder.glob('*.png')}


def test_numbers_in_names_are_in_their_order():
    points = pictures._by_number(RUN, 'unet_bfloat16', r'train step, (\d+) in a call')
    assert points == [(1, 25.0), (5, 21.0), (20, 20.25), (100, 20.05)]


def test_of_nothing_there_is_nothing_to_draw(tmp_path):
    pictures.draw(Run('today', False, 0.0), tmp_path)
    assert drawn(tmp_path) == set()


def test_kernels_whose_names_end_in_other_numbers_are_one_family():
    names = ['fusion_7', 'fusion.12', 'fusion', 'gemm_128x64', 'gemm_128x32', 'dot.1', 'dot']
    rows = [
        {'ms': 1.0 + i, 'calls': 1, 'matrix': 'fusion' not in name, 'name': name}
        for i, name in enumerate(names)
    ]
    found = [(one['name'], one['kinds'], one['ms']) for one in pictures.families(rows)]
    assert found == [('dot', 2, 13.0), ('fusion', 3, 6.0), ('gemm_128x32', 1, 5.0)] + [
        ('gemm_128x64', 1, 4.0)
    ]


def test_of_a_long_name_the_middle_is_left_out():
    assert pictures.shortened('nvjet_TNT') == 'nvjet_TNT'
    one, other = (pictures.shortened('gemm_' * 30 + kind) for kind in ('128x64', '64x128'))
    assert one != other
    assert len(one) == pictures.NAME + 3
