import pytest
from ml_collections import ConfigDict, FieldReference, config_dict

from launch.overrides import flat, override
from launch.refusal import Refused


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
    assert all(flat(config.to_dict())[other] == held for other, held in changed.items())


def test_every_config_can_be_written_as_overrides():
    config = override(defaults(), {'inner.x': '7', 'limit': '2', 'inner.sizes': '(9,)'})
    texts = {key: str(value) for key, value in flat(config.to_dict()).items()}
    assert repr(override(defaults(), texts).to_dict()) == repr(config.to_dict())


def test_references_follow_and_placeholders_keep_their_type():
    width = FieldReference(4)
    config = ConfigDict({'width': width, 'twice': width * 2, 'limit': config_dict.placeholder(int)})
    assert override(config, {'width': '5'}).twice == 10
    assert override(config, {'limit': '5'}).limit == 5 and override(config, {'limit': 'none'}).limit is None
    with pytest.raises(Refused, match='--config.limit takes an int, not 5.5'):
        override(config, {'limit': '5.5'})
