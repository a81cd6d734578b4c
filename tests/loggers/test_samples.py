"""The grid of samples."""

import numpy as np
import pytest
from marks import few

from hnet_cl.loggers.pictures import pixels
from hnet_cl.loggers.samples import GAP, sample_grid


@pytest.mark.parametrize("channels", [1, 3])
def test_each_sample_stands_in_its_place(channels: int) -> None:
    pictures = np.linspace(0, 1, 3 * 4 * channels * 5 * 6).reshape(3, 4, channels, 5, 6)
    pictures[1, 3] = np.nan
    axes = sample_grid(pictures, [0.25, 0.5, 1.0], "smnist · cl3 · dgr").axes[0]
    canvas = np.asarray(axes.images[0].get_array()).reshape(3 * 5 + 2 * GAP, 4 * 6 + 3 * GAP, channels)
    for row, column in np.ndindex(3, 4):
        y, x = row * (5 + GAP), column * (6 + GAP)
        shown = pictures[row, column] if channels == 3 else 1 - pictures[row, column]
        expected = np.ones_like(shown) if (row, column) == (1, 3) else shown
        np.testing.assert_allclose(canvas[y : y + 5, x : x + 6].transpose(2, 0, 1), expected)
    assert (canvas[5 : 5 + GAP] == 1).all() and (canvas[:, 6 : 6 + GAP] == 1).all()
    assert axes.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in axes.texts] == ["25%", "50%", "100%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["task 1", "task 2", "task 3"]


@pytest.mark.parametrize("tasks", few([1, 5, 100], [5]))
def test_text_lies_within_the_figure(tasks: int) -> None:
    image = pixels(sample_grid(np.random.default_rng(0).random((tasks, 16, 1, 32, 32)), [1.0] * tasks, "a · b · c"))
    assert all((edge == 255).all() for edge in (image[0], image[-1], image[:, 0], image[:, -1]))
