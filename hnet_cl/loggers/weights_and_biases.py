"""Weights & Biases: losses, metrics and pictures of a run, by default offline."""

import os
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from pydantic import model_validator

from hnet_cl.core.optional import require
from hnet_cl.loggers.curves import BY_ITERATION, GROUPS, LOST, of_end, of_losses, of_row, of_samples, of_window
from hnet_cl.loggers.hparams import hparams
from hnet_cl.records.logger import Logger
from hnet_cl.records.run_state import RunState, Samples

LONGEST_START_S = 30  # how long a run waits for W&B's server to answer


class WandbLogger(Logger):
    """Writes below `wandb/` in the run folder; uploads later with `wandb sync`, or at once with `mode: online`.

    The run's id consists of its configuration id and its seed, so it stays the same when the run continues. The x axis
    of `loss/*` and `old_tasks/*` is `iteration`; that of all other curves and of pictures is `tasks_learned`.
    """

    class Settings(Logger.Settings):
        """The run's place at W&B; an `entity` of None is the user's default."""

        project: str
        entity: str | None
        mode: Literal["offline", "online"]

        @model_validator(mode="after")
        def _installed(self) -> Self:
            require("wandb", "wandb")
            return self

    _run: Any

    def begin_run(self, state: RunState) -> None:
        """Opens the run at W&B, or continues the existing one."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # wandb reads it at import
        import wandb

        facts, online = state.facts, self.settings.mode == "online"
        more = {"config_id": facts.config_id, "parameters": dict(facts.parameters), "configuration": state.config}
        self._run = wandb.init(
            project=self.settings.project,
            entity=self.settings.entity,
            dir=str(state.folder),
            id=f"{facts.config_id}-{facts.seed}",
            name=f"{facts.benchmark}-{facts.scenario}-{facts.method} seed={facts.seed}",
            group=facts.config_id,
            config={**hparams(state), **more},
            resume="allow" if online else None,  # offline, `wandb sync` merges parts with the same id
            reinit="create_new",  # other runs may be active in this process
            settings=wandb.Settings(mode=self.settings.mode, silent=True, console="off", init_timeout=LONGEST_START_S),
        )
        for start in BY_ITERATION:
            self._run.define_metric(f"{start}*", step_metric="iteration")
        for name in (*(f"{group}/*" for group in GROUPS), *LOST, "pictures/*"):
            self._run.define_metric(name, step_metric="tasks_learned")

    def losses(self, state: RunState, losses: Mapping[str, float]) -> None:
        """Adds a point to each loss's curve."""
        self._run.log({**of_losses(losses), "iteration": state.iterations_done})

    def window(self, state: RunState) -> None:
        """Adds a point to the curve of each old task's score within the window."""
        self._run.log({**of_window(state), "iteration": state.iterations_done})

    def samples(self, state: RunState, samples: Samples) -> None:
        """Logs the fraction of each task's generated samples that is recognised, and that of real images."""
        self._run.log({**of_samples(samples), "tasks_learned": state.task + 1})

    def row(self, state: RunState) -> None:
        """Adds a point to the curve of each task's score and to each metric's curve."""
        self._run.log({**of_row(state), "tasks_learned": state.learned})

    def picture(self, state: RunState, name: str, pixels: np.ndarray) -> None:
        """Logs the picture."""
        import wandb

        self._run.log({f"pictures/{name}": wandb.Image(pixels), "tasks_learned": state.learned})

    def end_run(self, state: RunState) -> None:
        """Adds the final metrics of a finished run to its summary, and closes the W&B run.

        Its exit code is 0 if this run is finished, otherwise 1.
        """
        if state.status == "finished":
            self._run.summary.update(of_end(state))
        self._run.finish(exit_code=0 if state.status == "finished" else 1)
