"""Methods and scenarios have the names by which papers know them, and their place."""

from pathlib import Path

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.report.methods import BOUNDS, FAMILY, NAMES, SCENARIOS, named, place


def test_all_that_can_be_chosen_has_a_name() -> None:
    assert set(NAMES) == set(choices(conf_dir(), "method"))
    assert set(SCENARIOS) == {file.stem for file in Path(conf_dir(), "scenario").glob("*.yaml")}
    assert len({*NAMES.values()}) == len(NAMES)


def test_values_of_other_keys_stay_as_they_are() -> None:
    assert (named("method", "derpp"), named("scenario", "cl3")) == ("DER++", "class-incremental")
    assert (named("method", "mine"), named("target", "hnet")) == ("mine", "hnet")


def test_the_hypernetworks_come_first_and_the_bounds_last() -> None:
    rivals = ["scratch", "si", "finetune", "joint", "ewc"]
    names = ["hnet_r", "hypermask", "hnet_posterior", "h_embedding", "hnet", "hint", "hnet_ent", "hnet_tir", *rivals]
    assert sorted(sorted(names), key=place) == [*FAMILY, "ewc", "si", *BOUNDS]
