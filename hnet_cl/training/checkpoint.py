"""The state of a run after its last finished task, on disk."""

import pickle
from pathlib import Path
from typing import Any

import torch

from hnet_cl.errors import UserError
from hnet_cl.files import replace_file
from hnet_cl.methods.base import Learner

NAME = "checkpoint.pt"


def save(folder: Path, owner: str, learner: Learner, progress: dict[str, Any]) -> None:
    """Writes the learner and the run's `progress`; a reader sees the old file or the new one, never half of one.

    `owner` names the configuration and the data that the state belongs to.
    """
    state = {"owner": owner, "progress": progress, "learner": learner.state_dict()}
    with replace_file(folder / NAME) as part:
        torch.save(state, part)


def load(folder: Path, owner: str, learner: Learner) -> dict[str, Any]:
    """Restores the learner and returns the run's progress; an empty one if there is no checkpoint.

    Raises:
        UserError: the file is damaged or belongs to another configuration or other data.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    remedy = "give fresh=true to start this run anew"
    try:
        state: dict[str, Any] = torch.load(path, map_location=learner.setup.device, weights_only=True)
        found = state["owner"]
        if found == owner:
            learner.load_state_dict(state["learner"])
            return dict(state["progress"])
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: checkpoint cannot be read ({reason}); {remedy}") from error
    raise UserError(f"{path}: checkpoint of configuration {found}, not {owner}; {remedy}")
