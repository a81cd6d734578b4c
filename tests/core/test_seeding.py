"""Named random streams: reproducible, unrelated, and without effect on each other."""

from typing import Any

import torch

from hnet_cl.core.seeding import Stream, derive_seed, seeded, stream


def draw(generator: torch.Generator | None = None) -> list[float]:
    return torch.rand(4, generator=generator).tolist()


def test_same_names_give_the_same_stream_and_others_another() -> None:
    names: list[tuple[Any, ...]] = [
        (1, "init"),
        (2, "init"),
        (1, "batches"),
        (1, "batches", 0),
        (1, "batches", 1),
        (11,),
        (1, 1),
    ]
    draws = [draw(stream(*parts)) for parts in names]
    assert draws == [draw(stream(*parts)) for parts in names]
    assert len({tuple(d) for d in draws}) == len(names)


def test_seeds_are_the_same_on_every_machine_and_fit_torch() -> None:
    assert derive_seed(1, "batches", 0) == 2999610390311866822
    assert derive_seed(1, Stream.BATCHES, 0) == derive_seed(1, "batches", 0)
    assert derive_seed(1, Stream.HYPERNETWORK_INIT) == derive_seed(1, "init", "hypernetwork")
    assert all(0 <= derive_seed(seed) < 2**63 for seed in range(200))


def test_drawing_from_a_stream_moves_no_other() -> None:
    first, second, alone = stream(1, "a"), stream(1, "b"), stream(1, "a")
    mixed = []
    for _ in range(3):
        mixed.append(draw(first))
        draw(second)
        draw()
    assert mixed == [draw(alone) for _ in range(3)]


def test_seeded_sets_torchs_generator_inside_and_restores_it_outside() -> None:
    torch.manual_seed(3)
    expected = [draw(), draw()]
    torch.manual_seed(3)
    before = draw()
    with seeded(1, "init"):
        first = draw()
    after = draw()
    with seeded(1, "init"):
        again = draw()
    assert [before, after] == expected
    assert first == again == draw(stream(1, "init"))


def test_seeded_restores_after_an_error() -> None:
    torch.manual_seed(3)
    expected = draw()
    torch.manual_seed(3)
    try:
        with seeded(1, "init"):
            raise KeyError
    except KeyError:
        assert draw() == expected
