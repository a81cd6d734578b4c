"""The learning rate over the steps of a task."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from hnet_cl.core.checks import attempt
from hnet_cl.methods.base import Learner

SCHEDULED = ("lr", "momentum", "betas")  # options of optimisers that torch's schedulers may change


class Schedule:
    """The options of the optimisers at each step of a task, above all the learning rate.

    A torch scheduler works on a stand-in optimiser, whose options are copied to all parameter groups of all optimisers
    of the learner. It starts from scratch with every task. Nothing of it is saved: when a run continues in the middle
    of a task, the scheduler repeats its steps.

    Args:
        learner: the learner, after `begin_task` and, if a run continues in the middle of a task, with its state
            restored.
        steps: number of steps of the task.
        decay: returns the factor of the learning rate, given the iteration (from 1) and `steps`; None for a constant
            learning rate. Used only if the learner's context has no scheduler.
    """

    def __init__(self, learner: Learner, steps: int, decay: Callable[[int, int], float] | None) -> None:
        context, self._reached = learner.context, 1
        self._learner = learner
        self._options: dict[str, Any] = {}
        self._scheduled = decay is not None or context.make_scheduler is not None
        if not self._scheduled:
            return
        self._stand_in = context.make_optimizer([nn.Parameter(torch.zeros(1, 1, device=context.device))])
        if context.make_scheduler is not None:
            self._scheduler = context.make_scheduler(self._stand_in, steps)
        elif decay is not None:
            self._scheduler = LambdaLR(self._stand_in, lambda done: decay(done + 1, steps))
        self._stand_in.step()  # schedulers warn if the optimiser has not made a step

    def reach(self, iteration: int) -> bool:
        """Sets the options of the optimisers for an iteration (from 1); returns whether they have changed.

        Raises:
            UserError: the scheduler fails, e.g. because it is made for fewer steps.
        """
        if not self._scheduled:
            return False
        while self._reached < iteration:
            self._advance()
        group = self._stand_in.param_groups[0]
        options = {name: group[name] for name in SCHEDULED if name in group}
        if options == self._options:
            return False
        self._options = options
        for optimizer in self._learner.optimizers():
            for group in optimizer.param_groups:
                group.update(options)
        return True

    def _advance(self) -> None:
        what = f"{type(self._scheduler).__name__} after step {self._reached} of a task"
        attempt("lr_scheduler", what, self._scheduler.step)
        self._reached += 1
