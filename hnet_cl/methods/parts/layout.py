"""What a learner's numbers mean: the names and shapes that its state, and generated weights, are cut into."""

from collections.abc import Iterator

from torch import Size, Tensor, nn

from hnet_cl.hypernet import TargetNetwork


def layout(learner: nn.Module) -> list[tuple[str, list[int]]]:
    """Names and shapes, in order, of all that is generated and of all that `state_dict` holds.

    Flat vectors and lists go by place alone: with another order of the same sizes every number would be another's.
    """
    state = [(name, value.shape) for name, value in learner.state_dict().items() if isinstance(value, Tensor)]
    return [(name, list(shape)) for name, shape in (*_generated(learner), *state)]


def _generated(learner: nn.Module) -> Iterator[tuple[str, Size]]:
    for path, module in learner.named_modules():
        for key, part in {"": module, **vars(module)}.items():
            if isinstance(part, TargetNetwork):
                where = ".".join(filter(None, [path, key]))
                shapes = dict(part.layout.shapes) | {name: b.shape for name, b in part.fresh_buffers().items()}
                yield from ((f"{where}: {name}", shape) for name, shape in shapes.items())
