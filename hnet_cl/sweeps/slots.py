"""Numbers of a search's trials that, unlike Optuna's, do not count trials that died."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

SLOT = "slot"  # key of a trial's user attribute


def slot_of(trial: "Trial | FrozenTrial") -> int:
    """Returns a trial's slot, from 0: the number it would have if no trial died or failed; retries share the slot."""
    slot: int = trial.user_attrs.get(SLOT, trial.number)
    return slot
