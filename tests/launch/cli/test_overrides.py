import re

import hypothesis.strategies as st
import pytest
from hypothesis import given
from ml_collections import ConfigDict, FieldReference, config_dict

from launch.cli.flat import flat
from launch.cli.overrides import override
from launch.cli.refusal import Refused
from launch.run import rundir


def defaults():
    inner = {'x': 1.5, 'sizes': (1, 2), 'names': ('a',), 'empty': (), 'deep': ((1, 2), (3, 4))}
    return ConfigDict({'n': 3, 'yes': True, 'name': 'a', 'limit': None, 'inner': inner})


@pytest.mark.parametrize(
    ('key', 'text', 'value'),
    [
        ('n', '-800_000', -800_000),
        ('yes', 'false', False),
        ('yes', 'True', True),
        ('name', '3', '3'),
        ('name', 'none', 'none'),
        ('name', '', ''),
        ('limit', '3', 3),
        ('limit', 'None', None),
        ('limit', 'linear', 'linear'),
        ('limit', '(1, 0.5)', (1, 0.5)),
        ('inner.x', '3', 3.0),
        ('inner.x', '-2e-4', -2e-4),
        ('inner.sizes', '(1, 2, 2, 2)', (1, 2, 2, 2)),
        ('inner.sizes', '8,', (8,)),
        ('inner.sizes', '()', ()),
        ('inner.names', "('b', 'c')", ('b', 'c')),
        ('inner.empty', "(1, 'a')", (1, 'a')),
        ('inner.deep', '((5, 6),)', ((5, 6),)),
    ],
)
def test_an_override_has_the_type_of_the_default(key, text, value):
    config = defaults()
    changed = flat(override(config, {key: text}).to_dict())
    assert repr(changed.pop(key)) == repr(value)  # 3 and 3.0 and True are equal, and differ here
    assert config == defaults()
    assert all(flat(config.to_dict())[other] == value for other, value in changed.items())


SPELLINGS = {
    'inner.x': ['0.001', '1e-3', '.001', '1.0e-03', '0.0_01'],
    'inner.sizes': ['(1,2)', '(1, 2)', '[1,2]', '1,2', '( 1,2, )'],
    'inner.rates': ['(0.0, (1, 0.5))', '(-0.0,(1.0,5e-1))', '(0,[1,.5])', '(-0,(1,+0.5))'],
    'n': ['0', '-0', '0x0', '0_0'],
    'yes': ['true', 'True', 'TRUE'],
    'limit': ['0.0', '-0.0', '-0e5', '0e1'],
    'inner.zero': ['0', '0.0', '-0', '-0.0', '-0e0', '-1e-400'],
}


@pytest.mark.parametrize('key', SPELLINGS)
def test_however_a_value_is_spelt_it_is_one_run(key):
    config = defaults()
    config.inner.update(rates=(1.0, (1.0, 1.0)), zero=1.0)
    runs = {
        rundir.default('toy', rundir.identity(override(config, {key: text})))
        for text in SPELLINGS[key]
    }
    assert len(runs) == 1


@given(
    st.recursive(
        st.floats(allow_nan=False, allow_infinity=False), lambda inner: st.tuples(inner, inner)
    )
)
def test_equal_numbers_are_one_run_and_others_are_not(value):
    config = ConfigDict({'x': value if isinstance(value, tuple) else 0.5})
    found = override(config, {'x': repr(value)}).x
    assert found == value and '-0.0' not in re.findall(r'-?[\w.+-]+', repr(found))
    assert repr(override(config, {'x': repr(found)}).x) == repr(found)


def test_a_zero_of_the_config_itself_has_no_sign():
    width = FieldReference(-0.0)
    config = ConfigDict(
        {'a': -0.0, 'b': {'c': (1, -0.0, (-0.0,)), 'n': 0}, 'width': width, 'twice': width * 2}
    )
    assert repr(override(config, {}).to_dict()) == repr(
        {'a': 0.0, 'b': {'c': (1, 0.0, (0.0,)), 'n': 0}, 'twice': 0.0, 'width': 0.0}
    )
    assert override(config, {'width': '3'}).twice == 6.0


def test_every_config_can_be_written_as_overrides():
    config = override(defaults(), {'inner.x': '7', 'limit': '2', 'inner.sizes': '(9,)'})
    texts = {key: str(value) for key, value in flat(config.to_dict()).items()}
    assert repr(override(defaults(), texts).to_dict()) == repr(config.to_dict())


def test_references_follow_and_placeholders_keep_their_type():
    width = FieldReference(4)
    config = ConfigDict({'width': width, 'twice': width * 2, 'limit': config_dict.placeholder(int)})
    assert override(config, {'width': '5'}).twice == 10
    assert (
        override(config, {'limit': '5'}).limit == 5
        and override(config, {'limit': 'none'}).limit is None
    )
    with pytest.raises(Refused, match='--config.limit takes an int, not 5.5'):
        override(config, {'limit': '5.5'})
