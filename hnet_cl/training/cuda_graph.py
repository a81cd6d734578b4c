"""Training steps: operation by operation, shared by processes, or as one CUDA graph that is captured and replayed."""

import torch
from torch import Generator, Tensor

from hnet_cl.benchmarks.base import Split, TrainingData
from hnet_cl.core.errors import UserError
from hnet_cl.core.ranks import Ranks
from hnet_cl.methods.base import Learner

AHEAD = 256  # steps that may be queued on the GPU at a time
# Steps with unchanged optimiser options before a graph is captured: optimisers, cuBLAS and cuDNN initialise themselves
# in the first ones, and while a scheduler changes the learning rate at every step, no graph could be used twice.
WARM_UP = 3


class Steps:
    """Training steps, operation by operation. Steps are made, and their results are read, inside `with steps:`.

    Args:
        learner: the learner, after its `begin_task`.
        data: the training data.
        rng: the random generator of augmentation.
    """

    def __init__(self, learner: Learner, data: TrainingData, rng: Generator) -> None:
        self.learner = learner
        self.data = data
        self.rng = rng

    def __call__(self, index: Tensor) -> dict[str, Tensor]:
        """Makes one step on the examples `index` (b,), on the CPU; returns its losses, valid until the next step."""
        batch = self.data.batch(index.to(self.learner.context.device), self.rng)
        self.learner.prepare(len(index))
        return self.learner.step(*batch)

    def renew(self) -> None:
        """Prepares for changed options of the optimisers, such as another learning rate."""

    def __enter__(self) -> None:
        """Begins a series of steps."""

    def __exit__(self, *_: object) -> None:
        """Ends the series; a GPU may still be working on its steps."""

    def join(self) -> None:
        """Makes all later operations wait until the steps are complete."""


class SharedSteps(Steps):
    """Training steps of one of several processes, on its part of each batch.

    Args:
        learner: the learner, after its `begin_task`.
        data: the training data.
        rng: the random generator of augmentation, which draws for the whole batch.
        ranks: the processes.
    """

    def __init__(self, learner: Learner, data: TrainingData, rng: Generator, ranks: Ranks) -> None:
        super().__init__(learner, data, rng)
        self._ranks = ranks
        self._augmented = any(task.train.augment for task in learner.tasks)

    def __call__(self, index: Tensor) -> dict[str, Tensor]:
        """Makes one step on this process's part of the examples `index` (b,); returns the losses of that part.

        Raises:
            UserError: the learner's `step` does not average its gradients, or another process has ended.
        """
        part, before = self._ranks.part(len(index)), self._ranks.averaged
        if self._augmented:
            batch = tuple(whole[part] for whole in self.data.batch(index.to(self.learner.context.device), self.rng))
        else:
            batch = self.data.batch(index[part].to(self.learner.context.device))
        self.learner.prepare(len(batch[0]))
        losses = self.learner.step(*batch)
        if self._ranks.averaged == before:
            name = type(self.learner).__name__
            raise UserError(
                f"{name}.step computes gradients without self.differentiate(loss), which averages them over "
                "processes; use it in place of loss.backward(), or leave out torchrun"
            )
        return losses


class CapturedSteps(Steps):
    """Training steps as one CUDA graph, from the choice of the batch to the optimisers.

    The graph includes the forward and backward pass, lookahead and regulariser. The GPU then does not wait for the CPU
    between the hundred small operations of a step. Steps run on a CUDA stream of their own, so that steps of several
    learners that take turns overlap on the GPU. Steps that draw from torch's global generator, as dropout does, are not
    captured: graphs of several learners would share and overwrite its state.
    """

    def __init__(self, learner: Learner, split: Split, rng: Generator) -> None:
        super().__init__(learner, split, rng)
        self.split = split
        self._stream = torch.cuda.Stream()
        self._stream.wait_stream(torch.cuda.current_stream())
        self._steps = 0
        self._alike = 0  # steps since the options of the optimisers last changed
        self._draws_globally = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._waiting: Tensor | None = None  # (AHEAD, b) pinned indices of the latest steps, for the GPU to copy
        self._index: Tensor | None = None  # (b,) on the GPU: the indices that the graph reads
        # augmented examples that it reads instead: augmentation draws on the CPU, so it cannot be captured
        self._batch: tuple[Tensor, Tensor] | None = None
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
        self._graph = None  # the graph contains the old options
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
            self._stream.synchronize()  # the GPU must have copied the indices that are overwritten now
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
        """Captures a step as a graph without making it.

        Raises:
            UserError: the step cannot be captured.
        """
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
            while cause.__context__ is not None:  # torch reports the broken capture, not its cause
                cause = cause.__context__
            reason = str(cause).strip().splitlines()[0]
            raise UserError(
                f"device.graph=true: a training step of {type(self.learner).__name__} cannot be captured as a CUDA "
                f"graph ({reason}); give device.graph=false"
            ) from error
        return graph


def make_steps(learner: Learner, data: TrainingData, rng: Generator) -> Steps:
    """Returns captured steps if the run and the learner allow it and the data are a single split, else plain steps.

    Those of one of several processes are never captured.
    """
    if learner.context.ranks is not None:
        return SharedSteps(learner, data, rng, learner.context.ranks)
    if learner.context.graph and learner.capturable and isinstance(data, Split):
        return CapturedSteps(learner, data, rng)
    return Steps(learner, data, rng)
