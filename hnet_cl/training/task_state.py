"""The state of training in the middle of a task: everything that a step changes."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator

from hnet_cl.core.errors import UserError, first_line
from hnet_cl.methods.base import Learner
from hnet_cl.training.batches import BatchStream

WRONG = (RuntimeError, LookupError, TypeError, ValueError, AttributeError)  # of loading a state of another form


class TaskInProgress:
    """The state of training between two steps of a task, in addition to the learner's state at the start of the task.

    `restore` expects the learner as `begin_task` leaves it: what `begin_task` derives from the state at the start (such
    as the frozen hypernetwork in a regulariser) stays, everything else is restored. The state includes torch's global
    generators, so both methods must be called inside the `OwnRandomness` of the steps.

    Args:
        learner: the learner, after its `begin_task`.
        batches: the order of the task's examples.
        rng: the random generator of augmentation.
    """

    def __init__(self, learner: Learner, batches: BatchStream, rng: Generator) -> None:
        self._learner = learner
        self._batches = batches
        self._draws = rng  # of augmentation

    def state(self) -> dict[str, Any]:
        """Returns a nested mapping of tensors and numbers.

        The learner's tensors are not copied, so the mapping must be written before the next step changes them.
        """
        return {
            "learner": self._learner.state_dict(),
            "layout": self._learner.layout,
            "moving": {
                name: part.get_state() if isinstance(part, Generator) else part.state_dict()
                for name, part in self._learner.training_state().items()
            },
            "batches": self._batches.state(),
            "augmentation": self._draws.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores a `state()` of the same task.

        Raises:
            UserError: the learner's `training_state` had other parts then than now, or the state is damaged.
        """
        try:
            self._restore(state)
        except WRONG as error:
            raise UserError(
                f"the checkpoint in the middle of a task cannot be used ({first_line(error)}); give fresh=true to "
                "start from scratch"
            ) from error

    def _restore(self, state: Mapping[str, Any]) -> None:
        parts = self._learner.training_state()
        if parts.keys() != state["moving"].keys():
            raise UserError(
                "this run was interrupted in the middle of a task by a version of hnet_cl whose steps of this method "
                "went on in another way; give fresh=true to start it from scratch"
            )
        self._learner.load_state_dict(state["learner"])
        for name, part in parts.items():
            saved = state["moving"][name]
            if isinstance(part, Generator):
                part.set_state(saved)
            else:
                part.load_state_dict(saved)
        self._batches.restore(state["batches"])
        self._draws.set_state(state["augmentation"])
        torch.set_rng_state(state["torch"])
        if torch.cuda.is_available() and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"])
