"""Which of a search's trials one is: Optuna's numbers also count those that died."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

SLOT = "slot"  # what is noted at a trial


def slot_of(trial: "Trial | FrozenTrial") -> int:
    """Returns a trial's number, from 0, in a search in which none dies or fails; trials of one slot share it."""
    slot: int = trial.user_attrs.get(SLOT, trial.number)
    return slot
