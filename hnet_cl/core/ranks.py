"""The processes of a run, which share its batches and its tests and add up what they find.

Gradients are added in one flat vector by one all-reduce for each step, so that all processes make the same step. What
does not depend on the batch, such as the regulariser of a hypernetwork, is computed by each of them.
"""

import atexit
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hnet_cl.core.capacity import out_of_memory
from hnet_cl.core.errors import OccupiedError, UserError, described, first_line
from hnet_cl.core.processes import Place

PATIENCE = timedelta(days=1)  # for another process, which may be busy with data; one that has ended is noticed at once
WHY = "why a process ended"  # key of the store that all processes share

_stores: list[dist.Store] = []  # the one that this process has joined


class FollowerError(OccupiedError):
    """A process that writes nothing has failed; the one of rank 0 says why."""


class Ranks:
    """The processes of a run, seen from one of them. All of them call the same methods in the same order.

    Args:
        place: the place of this process.
        store: the store that all processes share.
        device: where tensors are that are added up.
        batch_size: examples of a batch, of which each process takes a `part`; at least one for each process.
        pending: tells whether this process has been asked to end.

    Attributes:
        asked: whether some process had been asked to end when gradients were averaged last; the same in all processes.
        averaged: how often gradients were averaged.
    """

    def __init__(
        self, place: Place, store: dist.Store, device: torch.device, batch_size: int, pending: Callable[[], bool]
    ) -> None:
        self.place = place
        self.asked = False
        self.averaged = 0
        self._store = store
        self._device = device
        self._pending = pending
        own = self.part(batch_size)
        self._share = (own.stop - own.start) / batch_size

    @property
    def writes(self) -> bool:
        """Tells whether this is the process that writes files and prints."""
        return self.place.rank == 0

    def part(self, number: int, together: int = 1) -> slice:
        """Returns this process's part of `number` examples, of which `together` consecutive ones are never separated.

        The parts of all processes are disjoint, cover all examples and differ in size by at most `together`; a part is
        empty if there is nothing left for it.
        """
        units = -(-number // together)
        start, stop = (units * rank // self.place.size for rank in (self.place.rank, self.place.rank + 1))
        return slice(start * together, min(stop * together, number))

    @torch.no_grad()
    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replaces gradients of mean losses over the parts of a batch by those of the mean loss over the whole batch.

        The sum over processes is weighted by the sizes of the parts. A gradient that some processes lack counts as zero
        there; one that all lack stays missing. Gradients that are the same in all processes stay the same, since the
        weights sum to 1. Whether a process was asked to end travels as one more number.

        Raises:
            UserError: another process has ended.
        """
        held = [*parameters]
        own = [torch.zeros_like(one) if one.grad is None else one.grad * self._share for one in held]
        marks = [*(float(one.grad is not None) for one in held), float(self._pending())]
        flat = torch.cat([*(gradient.flatten() for gradient in own), torch.tensor(marks, device=self._device)])
        self._add(flat)
        *whole, summed = flat.split([*(gradient.numel() for gradient in own), len(marks)])
        *used, asked = summed.tolist()
        for one, gradient, some in zip(held, whole, used, strict=True):
            if some:
                one.grad = gradient.view_as(one) if one.grad is None else one.grad.copy_(gradient.view_as(one))
        self.asked = asked > 0
        self.averaged += 1

    def mean(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the mean over the whole batch of scalar losses that are means over the parts.

        Raises:
            UserError: another process has ended.
        """
        found = torch.stack([value.detach().float() for value in losses.values()]) * self._share
        self._add(found)
        return dict(zip(losses, found, strict=True))

    def total(self, numbers: Tensor) -> Tensor:
        """Returns the sum over all processes of a tensor, on the tensor's device.

        Raises:
            UserError: another process has ended.
        """
        found = numbers.detach().to(self._device, copy=True)
        self._add(found)
        return found.to(numbers.device)

    def from_first(self, number: int) -> int:
        """Returns the number that the process of rank 0 gives, once it gives it.

        Raises:
            UserError: another process has ended.
        """
        found = torch.tensor([number], device=self._device)
        with self._together():
            dist.broadcast(found, 0)
        return int(found.item())

    def agree(self, numbers: Sequence[int]) -> bool:
        """Tells whether all processes give the same numbers; their count must be the same.

        Raises:
            UserError: another process has ended.
        """
        own = torch.tensor(numbers, device=self._device)
        found = torch.stack([own, -own])
        with self._together():
            dist.all_reduce(found, dist.ReduceOp.MAX)
        return torch.equal(found[0], -found[1])

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """Lets all other processes fail, too, where they wait for this one, if what is done inside fails.

        Nothing can be shared after that.

        Raises:
            FollowerError: in place of any error, in a process that does not write; the one that does is told why.
        """
        try:
            yield
        except BaseException as error:
            if not self.writes:
                with suppress(RuntimeError):  # the process of rank 0 has ended before
                    self._store.set(WHY, f"process {self.place.rank}: {_line(error)}")
            if dist.is_initialized():
                dist.destroy_process_group()
            if isinstance(error, Exception) and not self.writes:
                raise FollowerError(_line(error)) from error
            raise

    def _add(self, numbers: Tensor) -> None:
        with self._together():
            dist.all_reduce(numbers)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Raises a UserError that says why another process has ended if that breaks what is done inside."""
        try:
            yield
        except (RuntimeError, ValueError) as error:  # ValueError: this process has left
            raise UserError(self._why()) from error

    def _why(self) -> str:
        if self.writes:
            with suppress(RuntimeError):
                if self._store.check([WHY]):
                    return self._store.get(WHY).decode(errors="replace")
        return "another process of this run has ended; the same command continues from the last state that was saved"


def _connected(place: Place, device: torch.device) -> dist.Store:
    """Connects all processes; returns the store that they share."""
    store, _, _ = next(dist.rendezvous("env://", timeout=PATIENCE))
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=PATIENCE)
    dist.all_reduce(torch.zeros(1, device=device))  # else one that leaves at once would break what others still set up
    return store


def _line(error: BaseException) -> str:
    return str(error) if isinstance(error, UserError) else out_of_memory(error) or described(error)


def join(place: Place, device: torch.device, batch_size: int, pending: Callable[[], bool]) -> Ranks | None:
    """Joins the other processes of a run, by gloo on a CPU and NCCL on GPUs; returns None for a process alone.

    It takes until all of them have come. A program joins them once and keeps them for all its runs.

    Raises:
        UserError: they do not find each other, or an earlier run of this program has failed.
    """
    if place.size == 1:
        return None
    if device.type == "cuda":
        torch.cuda.set_device(place.local_rank)
    if not _stores:
        try:
            _stores.append(_connected(place, device))
        except RuntimeError as error:
            raise UserError(f"the processes of this run do not find each other ({first_line(error)})") from error
        atexit.register(lambda: dist.is_initialized() and dist.destroy_process_group())
    if not dist.is_initialized():
        raise UserError("several processes: an earlier run of this program has failed; start the program again")
    return Ranks(place, _stores[0], device, batch_size, pending)
