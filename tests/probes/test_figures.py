"""Pictures of samples: levels, tiles, films and strips."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.probes.figures import film, grid, strip, tile, to_pixels


def test_pixels_are_the_nearest_grey_levels():
    levels = np.arange(256)
    np.testing.assert_array_equal(to_pixels(levels / 127.5 - 1), levels)
    np.testing.assert_array_equal(to_pixels([-3.0, 3.0]), [0, 255])


def test_a_tile_holds_each_image_in_its_place():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 8, 8, 1), np.uint8)
    sheet = tile(images, columns=3, height=16, gap=1)
    assert sheet.shape == (2 * 17 - 1, 3 * 17 - 1, 3)
    assert [sheet[8 + 17 * (i // 3), 8 + 17 * (i % 3), 0] for i in range(5)] == list(range(5))
    assert (sheet[18:, 35:] == 255).all()  # where there is no sixth


@pytest.mark.parametrize('channels', [1, 3])
def test_figures_draw_what_they_are_given(channels):
    def draw(key, state, n):
        return np.full((n, 4, 4, channels), 0.0, np.float32) + state

    def frames(key, state, n):
        return np.linspace(-1, 1, 12)[:, None, None, None, None] * np.ones((n, 4, 4, channels))

    sheet = grid(draw, n=9)(None, np.float32(1))['grid']
    assert sheet.shape == (3 * 66 - 2, 3 * 66 - 2, 3)
    assert (sheet == 255).all()
    films = film(frames, n=9)(None, np.float32(0))
    assert films['film'].shape == (12, 3 * 66 - 2, 3 * 66 - 2, 3)
    assert films['moments'].shape == (8 * 66 - 2, 8 * 66 - 2, 3)

    def flip_twice(key, x):
        return jnp.stack([x, -x, x])

    row = strip(flip_twice, np.ones((2, 4, 4, channels)))(None, None)['strip']
    assert [row[0, 30 + 66 * i, 0] for i in range(3)] == [255, 0, 255]
