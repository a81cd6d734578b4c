"""How training steps are made: operation by operation, or as one CUDA graph that is captured and then replayed."""

import torch
from torch import Generator, Tensor

from hnet_cl.benchmarks.base import Split, TrainingData
from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Learner

AHEAD = 256  # steps that may be handed over to the GPU before it has made them
# Steps with the same options of the optimisers before a graph is captured: these, cuBLAS and cuDNN set themselves up in
# their first ones, and while a scheduler changes the learning rate at every step, no graph could be used twice.
WARM_UP = 3


class Steps:
    """Operation by operation. Steps are made, and what they did is looked at, inside `with steps:`.

    Args:
        learner: whose steps they are, after `begin_task`.
        data: what it learns from.
        draws: of augmentation.
    """

    def __init__(self, learner: Learner, data: TrainingData, rng: Generator) -> None:
        self.learner = learner
        self.data = data
        self.rng = rng

    def __call__(self, index: Tensor) -> dict[str, Tensor]:
        """One step on the examples `index` (b,), a tensor on the CPU; returns its losses, valid until the next one."""
        batch = self.data.batch(index.to(self.learner.context.device), self.rng)
        self.learner.prepare(len(index))
        return self.learner.step(*batch)

    def renew(self) -> None:
        """From here on optimisers have other options, such as another learning rate."""

    def __enter__(self) -> None:
        """From here on steps may be made."""

    def __exit__(self, *_: object) -> None:
        """What steps did may still be under way."""

    def join(self) -> None:
        """What comes after sees all that the steps have done."""


class CapturedSteps(Steps):
    """As one CUDA graph: choice of the batch, forward and backward pass, lookahead, regulariser, optimisers.

    The GPU then waits for nobody between the hundred small operations of a step. Steps run on a stream of their own,
    so that those of several learners in turn run at the same time. Steps that draw from torch's global generator, as
    dropout does, are not captured: graphs of several learners would share its state and overwrite each other's.
    """

    def __init__(self, learner: Learner, split: Split, rng: Generator) -> None:
        super().__init__(learner, split, rng)
        self.split = split
        self._stream = torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        self._steps = 0
        self._alike = 0  # steps with the same options of the optimisers
        self._draws_globally = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._waiting: Tensor | None = None  # (AHEAD, b) indices of the next steps, where the GPU fetches them itself
        self._index: Tensor | None = None  # where the graph looks for its examples
        self._batch: tuple[Tensor, Tensor] | None = None  # and for augmented ones, whose draws are the processor's
        self._losses: dict[str, Tensor] = {}

    def __call__(self, index: Tensor) -> dict[str, Tensor]:
        self._put(index)
        self.learner.prepare(len(index))
        self._steps += 1
        self._alike += 1
        if self._draws_globally:
            return self._step()
        if self._alike <= WARM_UP:
            before = torch.cuda.get_rng_state()
            losses = self._step()
            self._draws_globally = not torch.equal(before, torch.cuda.get_rng_state())
            return losses
        if self._graph is None:
            self._graph = self._capture()
        self._graph.replay()
        return self._losses

    def renew(self) -> None:
        self._graph = None  # the old options are part of it
        self._alike = 0

    def __enter__(self) -> None:
        self._inside = torch.cuda.stream(self._stream)
        self._inside.__enter__()

    def __exit__(self, *error: object) -> None:
        self._inside.__exit__(*error)

    def join(self) -> None:
        torch.cuda.current_stream().wait_stream(self._stream)

    def _put(self, index: Tensor) -> None:
        if self._waiting is None or self._index is None:
            self._waiting = index.new_empty(AHEAD, len(index)).pin_memory()
            self._index = index.to(self.learner.context.device)
        place = self._steps % AHEAD
        if place == 0:
            self._stream.synchronize()  # nobody may still read what is written over now
        self._waiting[place] = index
        self._index.copy_(self._waiting[place], non_blocking=True)
        if self.split.augment:
            batch = self.split.batch(self._index, self.rng)
            if self._batch is None:
                self._batch = batch
            for kept, new in zip(self._batch, batch, strict=True):
                kept.copy_(new)

    def _step(self) -> dict[str, Tensor]:
        assert self._index is not None
        return self.learner.step(*(self._batch or self.split.batch(self._index)))

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Records a step without making it."""
        graph = torch.cuda.CUDAGraph()
        for part in self.learner.training_state().values():
            if isinstance(part, Generator) and part.device.type == "cuda":
                graph.register_generator_state(part)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._losses = self._step()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            cause: BaseException = error
            while cause.__context__ is not None:  # torch complains of the broken capture, not of what broke it
                cause = cause.__context__
            reason = str(cause).strip().splitlines()[0]
            raise UserError(
                f"device.graph=true: a training step of {type(self.learner).__name__} cannot be captured as a CUDA "
                f"graph ({reason}); give device.graph=false"
            ) from error
        return graph


def make_steps(learner: Learner, data: TrainingData, rng: Generator) -> Steps:
    """Captured ones where the run wants them and the learner can; only the choice from one split can be captured."""
    if learner.context.graph and learner.capturable and isinstance(data, Split):
        return CapturedSteps(learner, data, rng)
    return Steps(learner, data, rng)
