"""What does not fit is told in one line before anything is written: data of another form, maps that
break the contract.

`check` refuses by tracing alone. What only values show, as words outside the vocabulary, stands at
the end.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.vae import Model, vae
from genjax.base import Data, Resident
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import squares
from genjax.training import Every, check, contract, make_mesh, replicas, train
from launch.__main__ import main
from tests.contracts.cases import ALGORITHMS
from tests.training.toy import toy


def one_device():
    return make_mesh(jax.devices()[:1])


def refused(experiment, folder):
    """The line with which a run is refused that leaves no directory."""
    with pytest.raises(ValueError) as error:
        train(experiment, seed=0, steps=1, mesh=one_device(), workdir=folder / 'run')
    assert not (folder / 'run').exists()
    assert '\n' not in str(error.value)
    return str(error.value)


def changed(experiment, change, *, test=False):
    """The experiment with each batch of training, or of the test set, changed."""
    data = experiment.data
    if test:
        return experiment._replace(data=data._replace(test=[change(batch) for batch in data.test]))
    draw = data.train.make_batch
    feed = Resident(data.train.arrays, lambda held, step: change(draw(held, step)))
    return experiment._replace(data=data._replace(train=feed))


def of(name, function):
    return lambda batch: batch | {name: function(batch[name])}


def transposed(x):
    return x.reshape(len(x), 4, 16, 1)


def doubled(x):
    return jnp.concatenate([x, x], -1)


def first_column(x):
    return x[..., :1]


def whole(x):
    return x.astype('int32')


def real(x):
    return x.astype('float32')


@pytest.mark.parametrize('case', ALGORITHMS)
def test_a_batch_that_lacks_what_is_read_is_refused(case, tmp_path):
    experiment = ALGORITHMS[case]()
    read = {
        'ddpm': 'image',
        'denoiser': 'image',
        'improved_ddpm': 'image',
        'flow_maps': 'image',
        'autoregressive': 'words',
        'masked_diffusion': 'words',
        'ngram': 'words',
        'cooccurrence': 'words',
        'glove': 'row',
        'word2vec': 'words',
        'classifier': 'label',
    }
    name = read.get(case, 'x')

    def renamed(batch):
        return {other: x for other, x in batch.items() if other != name} | {'other': batch[name]}

    names = ', '.join(sorted(renamed(experiment.data.train[0])))
    said = refused(changed(experiment, renamed), tmp_path)
    if case == 'naive_bayes':  # which tells of the whole form of a batch
        assert said == "a batch has {'label': (16,)}; naive Bayes needs x [B, D] and label [B]"
    else:
        assert said.endswith(f"'{name}' is missing; a batch has: {names}")
    if case == 'ddpm':
        return  # its update is traced long; a test set that does not fit it stands below
    said = refused(changed(experiment, renamed, test=True), tmp_path)
    assert said == f"evaluate: '{name}' is missing; a batch has: {names}"


SHAPE = 'shape is (8, 8, 1); the data have {}'
PLACE = r' \(\w+\.py, line \d+\)'
# (case, change, whether of the test set) -> the line, or where it is the library's how it begins
MISFITS = {
    ('ddpm', of('image', transposed), False): 'update: ' + SHAPE.format((4, 16, 1)),
    ('ddpm', of('image', doubled), False): 'update: ' + SHAPE.format((8, 8, 2)),
    ('ddpm', of('image', whole), False): 'update: images are int32; ddpm needs floats in [-1, 1]',
    ('ddpm', of('image', transposed), True): 'evaluate: ' + SHAPE.format((4, 16, 1)),
    (
        'gan',
        of('x', doubled),
        False,
    ): 'the generator gives examples of shape (4,), the data has (8,)',
    (
        'gan',
        of('x', doubled),
        True,
    ): 'evaluate: the generator gives examples of shape (4,), the data has (8,)',
    (
        'autoencoder',
        of('x', doubled),
        False,
    ): 'the decoder gives x of shape (6,); the data have (12,)',
    ('autoencoder', of('x', doubled), True): 'evaluate: ScopeParamShapeError: ',
    (
        'vae',
        of('x', doubled),
        False,
    ): 'update: the decoder gives x of shape (6,); the data have (12,)',
    (
        'normalizing_flow',
        of('x', doubled),
        False,
    ): 'shape is (4, 4, 1); the data have (4, 4, 2)',
    ('normalizing_flow', of('x', whole), False): 'x is int32; a flow needs floats',
    ('classifier', of('label', real), False): 'update: TypeError: ',
    ('classifier', of('x', doubled), True): 'evaluate: ScopeParamShapeError: ',
    (
        'naive_bayes',
        of('x', first_column),
        True,
    ): 'x has examples of (5,) in training and (1,) in test',
    ('pca', of('x', first_column), True): 'x has examples of (5,) in training and (1,) in test',
    ('mixture', of('x', doubled), True): 'evaluate: TypeError: ',
    ('hmm', of('x', real), False): 'x is float32 [16, 10]; the emission needs integers [B, L]',
    ('word2vec', of('words', real), False): 'update: TypeError: ',
}


@pytest.mark.parametrize(
    ('case', 'change', 'test'),
    MISFITS,
    ids=[f'{case}-{"test" if test else "train"}-{i}' for i, (case, _, test) in enumerate(MISFITS)],
)
def test_data_of_another_shape_or_kind_are_refused(case, change, test, tmp_path):
    line = MISFITS[case, change, test]
    said = refused(changed(ALGORITHMS[case](), change, test=test), tmp_path)
    assert said == line or (line.endswith(': ') and said.startswith(line)), said


def test_a_decoder_of_one_channel_is_not_broadcast_to_three(tmp_path):
    experiment = ALGORITHMS['vae']()
    model = Model(MLP((), (2, 2)), MLP((), (1,)), squares(1.0), 2)
    given = vae(model, optax.sgd(0.1))
    assert refused(experiment._replace(algorithm=given), tmp_path) == (
        'update: the decoder gives x of shape (1,); the data have (6,)'
    )


def replaced(**maps):
    return toy()._replace(algorithm=toy().algorithm._replace(**maps))


def rows(key, state, batch):
    return batch['x']


BROKEN = {
    'update gives step as float32[]; in the state before it is int32[]': dict(
        init=lambda key, batch: {'step': jnp.zeros((), jnp.int32)},
        update=lambda key, state, batch: (
            {'step': state['step'].astype(jnp.float32)},
            {'loss': jnp.zeros(())},
        ),
    ),
    'update gives new as float32[]; in the state before it is nothing': dict(
        init=lambda key, batch: {},
        update=lambda key, state, batch: ({'new': jnp.zeros(())}, {'loss': jnp.zeros(())}),
    ),
    'update gives loss of shape (16,); metrics of an update are scalars': dict(
        update=lambda key, state, batch: (state, {'loss': jnp.zeros(len(batch['x']))}),
    ),
    'update gives Fit; needed: (state, metrics), the metrics by name': dict(
        update=lambda key, state, batch: state,
    ),
    'evaluate gave loss of shape () for 16 examples': dict(
        evaluate=lambda key, state, batch: {'loss': jnp.zeros(())},
    ),
    'evaluate gives ShapeDtypeStruct; needed: metrics by name': dict(
        evaluate=lambda key, state, batch: jnp.zeros(16),
    ),
    'sample gives shape (3,) for 2 examples; they stand along the first axis': dict(
        sample=lambda key, state, n: jnp.zeros(3),
    ),
    'encode gives shape (3, 16) for 16 examples; they stand along the first axis': dict(
        encode=lambda key, state, batch: batch['x'].T,
    ),
    'decode gives shape () for 16 examples; they stand along the first axis': dict(
        encode=rows,
        decode=lambda key, state, code: jnp.sum(code),
    ),
}


@pytest.mark.parametrize('line', BROKEN)
def test_maps_that_break_the_contract_are_refused(line, tmp_path):
    maps = BROKEN[line]
    if 'init' in maps:  # of another state than the toy's other maps take
        maps = maps | dict(
            evaluate=lambda key, state, batch: {'loss': jnp.zeros(len(batch['x']))}, sample=None
        )
    assert refused(replaced(**maps), tmp_path) == line


def test_test_batches_are_alike_and_the_first_is_longest(tmp_path):
    experiment = toy()
    first, *others = experiment.data.test
    longer = {'x': np.concatenate([first['x'], first['x']])}
    assert refused(
        experiment._replace(data=experiment.data._replace(test=[first, longer])), tmp_path
    ) == ('test batch 2 has 32 examples; the first, 16, is longest')
    other = {'x': np.zeros((5, 4), np.float32)}
    assert refused(
        experiment._replace(data=experiment.data._replace(test=[first, *others, other])), tmp_path
    ) == ("test batch 4 has examples of {'x': 'float32[4]'}; the first has {'x': 'float32[3]'}")


def test_the_error_itself_is_chained_and_its_place_told(tmp_path):
    def update(key, state, batch):
        return state, {'loss': jnp.sum(batch['x'] @ jnp.zeros((5, 2)))}

    with pytest.raises(ValueError, match=rf'^update: TypeError: .*{PLACE}$') as error:
        check(replaced(update=update), mesh=one_device())
    assert isinstance(error.value.__cause__, TypeError)
    assert str(error.value).endswith(
        f'(test_contract.py, line {update.__code__.co_firstlineno + 1})'
    )


@pytest.mark.parametrize('bug', [AttributeError, NameError, ZeroDivisionError, NotImplementedError])
def test_a_bug_is_no_misfit_and_stays_what_it_is(bug):
    def update(key, state, batch):
        raise bug('of mine')

    with pytest.raises(bug, match='^of mine'):
        check(replaced(update=update), mesh=one_device())


@pytest.mark.parametrize('devices', [1, 8])
def test_what_was_traced_need_not_be_traced_again(devices):
    traces = []
    experiment, mesh = toy(observe=lambda: traces.append(1)), make_mesh(jax.devices()[:devices])
    check(experiment, mesh=mesh)
    assert len(traces) == 2  # an update and an evaluation
    check(experiment, mesh=mesh)
    train(experiment, seed=0, steps=2, mesh=mesh, every=Every(1, 2, 2))
    assert len(traces) == 2


def test_without_a_test_set_evaluate_is_tried_on_a_batch_of_training(tmp_path):
    broken = replaced(evaluate=lambda key, state, batch: {'loss': jnp.zeros(())})
    alone = broken._replace(data=Data(broken.data.train, []))
    assert refused(alone, tmp_path) == 'evaluate gave loss of shape () for 16 examples'
    check(toy()._replace(data=Data(toy().data.train, [])), mesh=one_device())


@pytest.mark.parametrize('case', ['mixture', 'pca'])
def test_copies_of_what_fits_fit(case):
    experiment = ALGORITHMS[case]()
    check(experiment._replace(algorithm=replicas(experiment.algorithm, 2)), mesh=one_device())


@pytest.mark.slow
def test_the_points_of_a_sweep_are_traced_once_for_each_form(folder, monkeypatch):
    forms = []

    def require_fit(algorithm, state, batch, *others):
        forms.append(contract.form(state, batch))

    monkeypatch.setattr('genjax.training.state.require_fit', require_fit)
    axes = ['--sweep=walk.rate=0.1,0.2,0.3', '--sweep=batch=8,16', '--sweep=seed=0:3']
    assert main(['--exp=toy', *axes, '--dry_run']) == 0
    assert len(forms) == len(set(forms)) == 2


@pytest.mark.parametrize(
    'case', ['ngram', 'cooccurrence', 'word2vec', 'autoregressive', 'masked_diffusion']
)
def test_a_word_outside_the_vocabulary_is_no_score_and_ends_training(case):
    """Nor does it change what others are given; within the vocabulary every value is finite."""
    experiment = ALGORITHMS[case]()
    algorithm, key = experiment.algorithm, jax.random.key(0)
    size = 12 if case == 'cooccurrence' else 20
    batch = experiment.data.test[0]
    state = algorithm.init(key, batch)
    update, judge = jax.jit(algorithm.update), jax.jit(algorithm.evaluate)
    after, metrics = update(key, state, batch)
    assert all(np.isfinite(value) for value in metrics.values())
    clean = judge(key, after, batch)['loss']
    for word in (size, size + 1, 2**31 - 1):
        odd = {'words': batch['words'].copy()}
        odd['words'][3, -2] = word
        assert not all(np.isfinite(value) for value in update(key, state, odd)[1].values())
        found = judge(key, after, odd)['loss']
        assert np.isnan(found[3])
        np.testing.assert_array_equal(np.delete(found, 3), np.delete(clean, 3))
        if algorithm.encode:
            code = np.asarray(jax.jit(algorithm.encode)(key, after, odd))
            assert np.all(np.isnan(code[3, -2])) and np.isnan(code).sum() == code.shape[-1]
