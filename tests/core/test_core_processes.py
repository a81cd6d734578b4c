"""The place of a process among those of a run, from the environment."""

from typing import Any

import pytest

from hnet_cl.core.errors import UserError
from hnet_cl.core.processes import Place, place

SECOND = {
    "RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Place(1, 4, 1, 2)),
        ({"LOCAL_RANK": None, "LOCAL_WORLD_SIZE": None}, Place(1, 4, 1, 4)),
        ({"WORLD_SIZE": "1", "RANK": "0"}, Place()),
        ({"RANK": None}, Place()),
        ({"WORLD_SIZE": None}, Place()),
    ],
)
def test_a_process_knows_its_place(changes: dict[str, Any], expected: Place) -> None:
    found = {name: value for name, value in (SECOND | changes).items() if value is not None}
    assert place(found) == expected


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"RANK": "4"}, "RANK=4 in the environment: is no number of at least 0 and below 4"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE=two in the environment: is no number of at least 1"),
        ({"LOCAL_RANK": "2"}, "LOCAL_RANK=2 in the environment: is no number of at least 0 and below 2"),
        ({"MASTER_PORT": "abc"}, "MASTER_PORT=abc in the environment: is no number of at least 1 and below 65536"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT=99999 in the environment: is no number of at least 1 and below 65536"),
        ({"MASTER_ADDR": " "}, "MASTER_ADDR is empty in the environment: give the name of the machine of rank 0"),
        ({"MASTER_PORT": None}, "WORLD_SIZE=4 in the environment, without MASTER_PORT: start several processes with"),
    ],
)
def test_a_place_that_cannot_be_is_one_line(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        place({name: value for name, value in (SECOND | changes).items() if value is not None})
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (Place(), "python -m"),
        (Place(1, 2, 1, 2), "torchrun --nproc-per-node=2 -m"),
        (Place(3, 4, 1, 2), "torchrun --nnodes=2 --nproc-per-node=2 -m"),
    ],
)
def test_the_command_line_names_the_launcher(where: Place, words: str) -> None:
    assert where.command == words
