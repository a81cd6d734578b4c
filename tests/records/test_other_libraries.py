"""Forgetting and backward transfer of other libraries, against numbers worked out by hand and against their code."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hnet_cl.records import metrics
from hnet_cl.records.other_libraries import LIBRARIES

MATRIX = [[0.9, None, None, None], [0.7, 0.8, None, None], [0.6, 0.9, 1.0, None], [0.8, 0.5, 0.9, 1.0]]


@pytest.mark.parametrize(
    ("library", "forgetting", "bwt"),
    [
        ("Avalanche", (0.1 + 0.3 + 0.1) / 3, -(0.1 + 0.3 + 0.1) / 3),
        ("Mammoth", (0.1 + 0.4 + 0.1) / 3, -(0.1 + 0.3 + 0.1) / 3),
        ("LibContinual", (0.1 + 0.3) / 3, (-0.3 - 0.1 - 0.3) / 6),
    ],
)
def test_by_hand(library: str, forgetting: float, bwt: float) -> None:
    assert [formula(MATRIX) for formula in LIBRARIES[library]] == pytest.approx([forgetting, bwt])


@pytest.mark.parametrize("library", LIBRARIES)
def test_of_one_task_there_is_none(library: str) -> None:
    assert [formula(rows) for formula in LIBRARIES[library] for rows in ([], [[0.5, None]])] == [None] * 4


@given(
    st.integers(2, 6).flatmap(
        lambda n: st.lists(st.lists(st.floats(0, 1), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_mammoths_is_its_own_loop_over_padded_rows(square: list[list[float]]) -> None:
    """Rows are padded with zeros there, as tasks to come have no accuracy."""
    number = len(square)
    matrix = [[value if j <= i else None for j, value in enumerate(row)] for i, row in enumerate(square)]
    padded = np.tril(np.array(square))
    best = padded.max(axis=0)
    expected = np.mean([best[j] - padded[-1][j] for j in range(number - 1)])
    found = LIBRARIES["Mammoth"][0](matrix)
    assert found == pytest.approx(expected) and found >= 0
    ours = metrics.forgetting(matrix)
    assert ours is not None and found >= ours - 1e-12
