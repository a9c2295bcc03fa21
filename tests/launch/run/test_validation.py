"""Values that cannot work are refused before anything is built."""

import pytest
from ml_collections import ConfigDict

from launch.cli.refusal import Refused
from launch.run.validation import check_devices


@pytest.mark.parametrize(('parts', 'fits'), [(1, True), (2, True), (4, True), (3, False)])
@pytest.mark.parametrize('parallel', ['jit', 'pmap'])
def test_microbatches_divide_what_each_device_has_of_a_batch(parts, fits, parallel):
    config = ConfigDict({'batch': 32, 'microbatches': parts})
    if fits:
        check_devices(config, None, parallel, devices=8)
        return
    expected = (
        '^--config.microbatches is 3; it takes a divisor of 4, '
        'the examples of a batch on each device$'
    )
    with pytest.raises(Refused, match=expected):
        check_devices(config, None, parallel, devices=8)
