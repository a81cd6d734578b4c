"""Words that select parameters of a network."""

import pytest
from torch import nn

from hnet_cl.targets.selection import freeze_others, in_short, selected

NORMS = ["norm.weight", "norm.bias", "blocks.0.1.weight", "blocks.0.1.bias"]
BODY = ["first.weight", *NORMS[:2], "blocks.0.0.weight", *NORMS[2:], "blocks.1.weight"]


class Small(nn.Module):
    """Convolutions and norms, a frozen scale, a layer under two names, five outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.scale = nn.Linear(1, 1).requires_grad_(False)
        self.blocks = nn.Sequential(nn.Sequential(nn.Linear(2, 2, bias=False), nn.LayerNorm(2)), nn.Linear(2, 5, False))
        self.again = self.blocks[1]
        self.head = nn.Linear(2, 5)


HEAD = ["head.weight", "head.bias"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("all", [*BODY, *HEAD]),
        ("head", HEAD),
        ("norms", NORMS),
        ("head+norms", [*NORMS, *HEAD]),
        ("last_1", HEAD),
        ("last_2", ["blocks.1.weight", *HEAD]),
        ("last_3", [*NORMS[2:], "blocks.1.weight", *HEAD]),
        ("last_99", [*BODY, *HEAD]),
        ("blocks", BODY[3:]),
        ("blocks.0.*", BODY[3:6]),
        ("*.bias", [NORMS[1], NORMS[3], HEAD[1]]),
        ("again.weight", ["blocks.1.weight"]),
        ("*or[mn]+first", BODY[:3]),
    ],
)
def test_words_and_the_parameters_that_they_select(words: str, names: list[str]) -> None:
    network = Small()
    assert selected(network, words, 5) == names
    freeze_others(network, names)
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == names


@pytest.mark.parametrize(
    ("words", "outputs", "word"),
    [
        ("scale", 5, "scale"),
        ("norms+hed", 5, "hed"),
        ("head", 4, "head"),
        ("norm.", 5, "norm."),
        ("last_0", 5, "last_0"),
        ("head+", 5, ""),
    ],
)
def test_a_word_that_selects_nothing_is_told_with_what_there_is(words: str, outputs: int, word: str) -> None:
    with pytest.raises(ValueError, match=r"selects nothing") as error:
        selected(Small(), words, outputs)
    names = ", ".join([*BODY, *HEAD])
    assert str(error.value) == f"{word!r} selects nothing that can be trained in Small, which has {names}"


def test_of_many_names_the_first_are_shown() -> None:
    assert in_short([str(number) for number in range(20)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more"
