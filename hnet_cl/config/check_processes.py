"""Checks that a run can be shared by several processes, before anything is written."""

import torch

from hnet_cl.config.check import Plan
from hnet_cl.core.errors import UnsupportedError, UserError
from hnet_cl.core.processes import Place


def check_processes(plan: Plan, place: Place) -> None:
    """Refuses what is not defined for several processes; one process alone is always allowed.

    Raises:
        UserError: there is something of that kind.
    """
    if place.size == 1:
        return
    started = f"with {place.size} processes (torchrun)"
    if reason := plan.method_class.unsupported_processes(plan.method):
        raise UnsupportedError(f"method={plan.method.name} {started}: {reason}")
    if plan.device.graph:
        raise UserError(f"device.graph=true {started}: steps that processes share are not captured; give false")
    if plan.device.type == "cuda" and place.local_size > torch.cuda.device_count():
        raise UserError(
            f"device=cuda {started}: {place.local_size} of them on this machine need a GPU each, and torch finds "
            f"{torch.cuda.device_count()}; start fewer"
        )
    if plan.training.batch_size < place.size:
        raise UserError(
            f"training.batch_size={plan.training.batch_size} {started}: leaves nothing to some of them; give at least "
            f"{place.size}, or start fewer"
        )
