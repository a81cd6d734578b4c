"""Keys that were typed and have no effect in the run that they were typed for."""

from collections.abc import Iterator, Sequence

from hnet_cl.config.check import Plan
from hnet_cl.core.plain_text import shown

OF_LORA = ("training.lora_rank", "training.lora_scale", "training.lora_layers")


def without_effect(overrides: Sequence[str], plan: Plan) -> Iterator[str]:
    """Yields a line for each override whose key does not count with the other settings of the run.

    Args:
        overrides: as typed.
        plan: the checked configuration.
    """
    idle = {plan.method.key(field): why for field, why in plan.method.idle().items()}
    if "lora" not in plan.training.parameters:
        idle |= dict.fromkeys(OF_LORA, "without training.parameters=lora")
    if plan.scenario.task_known:
        idle["method.task_inference"] = f"with scenario={plan.scenario.name}, where the task is given at test time"
    for override in overrides:
        key = override.lstrip("+").partition("=")[0].replace("/", ".")
        for name, why in idle.items():
            if f"{key}.".startswith(f"{name}."):
                yield f"{shown(override)}: has no effect {why}."
