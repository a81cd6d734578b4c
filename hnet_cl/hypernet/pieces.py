"""The next step of PyTorch's fused Adam and SGD, piece by piece and without a copy of the optimiser's state."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

AVERAGES = {Adam: ("exp_avg", "exp_avg_sq"), SGD: ("momentum_buffer",)}  # what a step changes for each number
Move = Callable[[Tensor, Tensor, list[Tensor]], None]


def takes_pieces(optimizer: Optimizer, group: Mapping[str, Any], parameter: Tensor) -> bool:
    """Tells whether `PieceByPiece` knows the step of a parameter of the group, and the parameter is long enough for it.

    Weight decay is not for a difference, and without averages, as in SGD without momentum, no copy is saved.
    """
    if _kind(optimizer) not in AVERAGES or not parameter.is_contiguous() or not group["fused"]:
        return False
    numbers = group["lr"], *group.get("betas", ())
    plain = not (group["weight_decay"] or group.get("amsgrad") or any(isinstance(n, Tensor) for n in numbers))
    return plain and bool(group.get("momentum", True)) and parameter.numel() > piece_size(parameter.device)


def piece_size(device: torch.device) -> int:
    """Returns the length of a piece: short enough for a CPU's caches, long enough to keep a GPU busy."""
    return 2**17 if device.type == "cpu" else 2**22


class PieceByPiece:
    """Computes the difference of a parameter from an origin after the optimiser's next step, without making the step.

    PyTorch's own kernel makes it on one piece of the difference after another, with a copy of the averages of that
    piece, which is still in the cache. Each number is what the kernel makes of the whole difference, as a piece's
    length is a multiple of the number of values that an instruction takes; remainders may round otherwise.

    Args:
        optimizer: one that `takes_pieces`.
        number: the place of the parameter's group in `optimizer.param_groups`.
        parameter: the parameter.
        origin: like the parameter.
        difference: where the result is written; like the parameter.
    """

    def __init__(
        self, optimizer: Optimizer, number: int, parameter: nn.Parameter, origin: Tensor, difference: Tensor
    ) -> None:
        self._optimizer, self._number, self._parameter = optimizer, number, parameter
        self._size = piece_size(parameter.device)
        self._origins, self._differences = (tensor.view(-1).split(self._size) for tensor in (origin, difference))
        self._space = [torch.empty_like(self._differences[0]) for _ in AVERAGES[_kind(optimizer)]]

    @torch.no_grad()
    def step(self) -> None:
        """Writes the difference after the next step with the present gradient, averages and options."""
        gradient, values = self._parameter.grad, self._parameter.view(-1).split(self._size)
        if gradient is None:
            torch._foreach_copy_(self._differences, torch._foreach_sub(values, self._origins))
            return
        gradients = gradient.reshape(-1).split(self._size)
        state, kind = self._optimizer.state.get(self._parameter, {}), _kind(self._optimizer)
        move = MOVES[kind](self._optimizer.param_groups[self._number], state, gradient)
        averages = [state.get(name) for name in AVERAGES[kind]]
        pieces = [None if average is None else average.reshape(-1).split(self._size) for average in averages]
        for i, difference in enumerate(self._differences):
            torch.sub(values[i], self._origins[i], out=difference)
            copies = [space[: len(difference)] for space in self._space]
            for copied, source in zip(copies, pieces, strict=True):
                copied.zero_() if source is None else copied.copy_(source[i])
            move(difference, gradients[i], copies)


def _kind(optimizer: Optimizer) -> type[Optimizer]:
    """Returns the class of PyTorch whose steps the optimiser makes; its own if it may do more, such as clipping."""
    kind = type(optimizer)
    same_as: type[Optimizer] = vars(kind).get("same_as", kind)
    return same_as


def _adam(group: Mapping[str, Any], state: Mapping[str, Any], gradient: Tensor) -> Move:
    """Returns a function that makes a step of Adam on a piece and its averages, in place, given the gradient."""
    step = state["step"] + 1 if state else torch.ones((), device=gradient.device)

    def move(piece: Tensor, own: Tensor, averages: list[Tensor]) -> None:
        first, second = averages
        torch._fused_adam_(
            [piece],
            [own],
            [first],
            [second],
            [],
            [step],
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=0.0,
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
        )

    return move


def _sgd(group: Mapping[str, Any], state: Mapping[str, Any], gradient: Tensor) -> Move:
    """Returns a function that makes a step of SGD on a piece, as `_adam` does."""
    first = state.get("momentum_buffer") is None

    def move(piece: Tensor, own: Tensor, averages: list[Tensor]) -> None:
        torch._fused_sgd_(
            [piece],
            [own],
            averages,
            weight_decay=0.0,
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            is_first_step=first,
        )

    return move


MOVES = {Adam: _adam, SGD: _sgd}
