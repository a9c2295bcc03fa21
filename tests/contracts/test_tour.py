"""The notebook docs/tour.ipynb, from its first cell to its last."""

import json
import pathlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
TOUR = ROOT / 'docs' / 'tour.ipynb'


def cells():
    return json.loads(TOUR.read_text('utf-8'))['cells']


def code_cells():
    return [cell for cell in cells() if cell['cell_type'] == 'code']


def test_it_holds_what_its_cells_gave_and_pictures_among_that():
    outputs = [output for cell in code_cells() for output in cell['outputs']]
    assert not [output for output in outputs if output['output_type'] == 'error']
    assert sum('image/png' in output.get('data', {}) for output in outputs) == 4
    counts = [cell['execution_count'] for cell in code_cells()]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.slow
def test_its_cells_run_from_top_to_bottom(monkeypatch):
    import matplotlib

    matplotlib.use('agg')
    monkeypatch.chdir(ROOT)
    names = {}
    # Notebooks have jax's own rules of dtypes and ranks, and not those of the tests.
    import jax

    with jax.numpy_dtype_promotion('standard'), jax.numpy_rank_promotion('allow'):
        for cell in code_cells():
            exec(''.join(cell['source']), names)
    assert np.abs(names['back'] - names['test']['image']).max() < 0.1
    assert names['scores']['Frechet distance (digits classifier)'] < 30
