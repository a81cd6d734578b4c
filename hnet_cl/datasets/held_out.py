"""Labels of a user's own data: the order of classes, a share held out for testing, and classes without examples."""

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.core.plain_text import shown
from hnet_cl.core.seeding import Stream, stream

NAMED = 3  # classes or files in a message; of more, only the number is given


def in_order(names: Iterable[str]) -> list[str]:
    """Returns the distinct names of classes in order: as numbers if all are whole numbers, else as text."""
    distinct = sorted(set(names))
    whole = all(re.fullmatch(r"-?\d{1,18}", name, re.ASCII) for name in distinct)
    return sorted(distinct, key=int) if whole else distinct


def held_out(labels: Tensor, class_names: Sequence[str], share: float, seed: int, where: str) -> Tensor:
    """Draws the test examples from `seed`: a `share` of each class, at least one; returns a mask (n,).

    Args:
        labels: (n,) int64 in 0..C-1.
        class_names: (C,) for messages.
        share: of the test examples, in 0..1.
        seed: of this choice alone.
        where: the data, as a message's beginning.

    Raises:
        UserError: a class has only one example.
    """
    test = torch.zeros(len(labels), dtype=torch.bool)
    single = []
    for label, name in enumerate(class_names):
        own = (labels == label).nonzero()[:, 0]
        if len(own) < 2:
            single.append(name)
            continue
        number = min(max(1, round(share * len(own))), len(own) - 1)
        test[own[torch.randperm(len(own), generator=stream(seed, Stream.HELD_OUT, label))[:number]]] = True
    if single:
        raise UserError(
            f"{where}: only one example of {listed(single)}, and one more is needed to test with: add some, or remove "
            "such classes"
        )
    return test


def require_both(train: Tensor, test: Tensor, class_names: Sequence[str], where: str) -> None:
    """Checks that every class has training and test examples.

    Args:
        train: (n,) labels in 0..C-1 of the training examples.
        test: (m,) labels of the test examples.
        class_names: (C,) for messages.
        where: the data, as a message's beginning.

    Raises:
        UserError: classes lack one or the other; the message names them.
    """
    train_counts, test_counts = (labels.bincount(minlength=len(class_names)).tolist() for labels in (train, test))
    for counts, others, kind, other in (
        (train_counts, test_counts, "training", "test"),
        (test_counts, train_counts, "test", "training"),
    ):
        if lacking := [name for name, n, m in zip(class_names, counts, others, strict=True) if n == 0 < m]:
            raise UserError(
                f"{where}: no {kind} examples of {listed(lacking)}, of which there are {other} examples: add some, or "
                "remove such classes"
            )


def listed(names: Sequence[str], number: int = NAMED) -> str:
    """Returns the first names, and how many there are if there are more, for a message."""
    first = ", ".join(map(shown, names[:number]))
    return first if len(names) <= number else f"{first} and {len(names) - number} more"
