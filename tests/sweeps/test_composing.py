"""Jobs composed together are those composed one by one."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

import hnet_cl.config.resolvers  # noqa: F401  (the yaml files ask for them)
from hnet_cl.config.conf_files import conf_dir
from hnet_cl.sweeps.composing import compose_all
from hnet_cl.sweeps.jobs import compose


@pytest.mark.parametrize(
    "subdir", [pytest.param([], marks=pytest.mark.slow), ["hydra.sweep.subdir=${hydra.job.override_dirname}"]]
)
@pytest.mark.slow
def test_only_the_seed_is_exchanged(subdir: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    methods = ["method=ewc", "method=si"]
    combinations = [
        [f"seed={seed}", "benchmark=toy", method] for seed in (1, "x", "${checkpoint_every}") for method in methods
    ]
    combinations += [["benchmark=toy", "method=si"], ["seed=1", "seed=2"], ["seed=1", "method.x=1"]]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", ["hydra.mode=MULTIRUN", *subdir], run_mode=RunMode.MULTIRUN)
        one_by_one = [compose(loader, config, overrides, number) for number, overrides in enumerate(combinations)]
        loaded: list[list[str]] = []
        real = loader.load_sweep_config
        monkeypatch.setattr(loader, "load_sweep_config", lambda *given: loaded.append(given[1]) or real(*given))
        assert compose_all(loader, config, combinations) == one_by_one
    assert len(loaded) == (9 if subdir else 5)
