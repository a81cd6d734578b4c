"""The learning rate over the steps of a task."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from hnet_cl.core.checks import attempt
from hnet_cl.methods.base import Learner

SCHEDULED = ("lr", "momentum", "betas")  # options of optimisers that torch's schedulers change


class Schedule:
    """What the optimisers' options are at each step of a task, first of all the learning rate.

    A scheduler of torch's works on a stand-in for all optimisers of a learner, which get that one's options (in all
    their parameter groups). It starts anew with every task. Nothing of it is state: where a task goes on in its
    middle, the scheduler makes its steps once more.

    Args:
        learner: whose optimisers they are, after `begin_task` and, where a task goes on, with its state restored.
        steps: that the task takes.
        decay: the factor of the learning rate at an iteration of so many steps; None for a constant one. It counts
            where the learner's setup has no scheduler.
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
        self._stand_in.step()  # schedulers warn where none has been made

    def reach(self, iteration: int) -> bool:
        """Gives the optimisers what they have to have at an iteration (from 1); returns whether that is new to them.

        Raises:
            UserError: the scheduler fails, as one that is made for fewer steps does.
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
