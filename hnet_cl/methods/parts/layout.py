"""The names and shapes of the parts of a learner's state and of its generated weights."""

from collections.abc import Iterator

from torch import Size, Tensor, nn

from hnet_cl.hypernet import TargetNetwork


def layout(learner: nn.Module) -> list[tuple[str, list[int]]]:
    """Lists the names and shapes, in order, of all generated weights and buffers and all tensors in `state_dict`.

    Flat vectors and lists are indexed by position only, so with the same sizes in another order they would load without
    an error and be wrong; comparing layouts detects this.
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
