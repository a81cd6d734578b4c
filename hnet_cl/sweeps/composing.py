"""Composes the configurations of all jobs of a grid, faster than one by one."""

from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hnet_cl.sweeps.jobs import Job, Outcome, compose

SEED = "seed="


class SeededLoader:
    """Loads configurations of jobs; if only the seed differs from the previous job's, it reuses that configuration.

    Hydra reads all yaml files again for each job, which takes nearly all of the time to compose one.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._others: list[str] | None = None
        self._latest = DictConfig({})

    def load_sweep_config(self, config: DictConfig, overrides: list[str]) -> DictConfig:
        """Loads a job's configuration, with the same result as Hydra's loader."""
        seeds = [override for override in overrides if override.startswith(SEED)]
        others = [override for override in overrides if not override.startswith(SEED)]
        if others != self._others or len(seeds) != 1:
            self._others = None
            self._latest = self._loader.load_sweep_config(config, overrides)
            self._others = others if len(seeds) == 1 and not _depends_on_hydra(self._latest) else None
            return self._latest
        seed = OverridesParser.create().parse_override(seeds[0]).value()
        with read_write(self._latest), open_dict(self._latest):
            OmegaConf.update(self._latest, "seed", seed)
        return self._latest


def compose_all(loader: ConfigLoader, config: DictConfig, combinations: Sequence[Sequence[str]]) -> list[Job | Outcome]:
    """Composes one job for each combination of overrides, in their order; see `compose`."""
    seeded = SeededLoader(loader)
    order = sorted(range(len(combinations)), key=lambda n: [o for o in combinations[n] if not o.startswith(SEED)])
    composed = {number: compose(seeded, config, combinations[number], number) for number in order}
    return [composed[number] for number in range(len(combinations))]


def _depends_on_hydra(config: DictConfig) -> bool:
    """Tells whether a job's folder or settings interpolate values of Hydra, such as the job's overrides as one text."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    texts = [OmegaConf.to_yaml(own), OmegaConf.to_yaml(config.hydra.sweep)]
    return any("${hydra" in text for text in texts)
