"""`GROUP=NAME --help`: the keys of a choice as they are typed, with their values and comments."""

from pathlib import Path

import pytest

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.help_text import GROUPS, help_text
from hnet_cl.config.key_comments import keys_of
from hnet_cl.core.errors import UserError

MINE = """# Mine, which is derived
defaults:
  - ewc
  - _self_
gamma: 0.5
more:
  depth: 3  # levels of something that takes
            # two lines to explain
"""


def test_keys_values_and_comments_of_a_choice() -> None:
    lines = help_text(["method=ewc", "--help"]).splitlines()
    assert lines[0].startswith("method=ewc  Elastic weight consolidation, online")
    place = lines.index("  method.online=true")
    assert lines[place + 1] == "      one merged Fisher information; false: one for each old task"
    assert max(map(len, lines[1:])) <= 80


def test_a_derived_choice_has_the_keys_of_its_parents_with_its_own_values(tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").write_text(MINE)
    text = help_text([f"--config-dir={tmp_path}", "method=mine", "--help"])
    assert "  method.gamma=0.5\n      share of the old Fisher information" in text and "gamma=1.0" not in text
    assert text.endswith("  method.more.depth=3\n      levels of something that takes two lines to explain")
    assert "  method.strength=5000.0\n" in text


def test_choices_that_a_choice_makes_are_typed_as_such() -> None:
    text = help_text(["method=hnet_ent"])
    assert "  method/task_inference=entropy\n" in text and "  method/regularizer=fast\n" in text
    assert "\n  target=mlp_400\n" in help_text(["benchmark=smnist"])


def test_several_choices_and_one_without_keys() -> None:
    text = help_text(["method=si,er", "hydra/launcher=basic"])
    assert [line.split()[0] for line in text.splitlines() if "=" in line and line[0] != " "] == [
        "method=si",
        "method=er",
        "hydra/launcher=basic",
    ]
    assert text.endswith("  no keys of its own")


def test_every_choice_can_be_explained_and_no_comment_is_lost() -> None:
    for group in GROUPS:
        for name in choices(conf_dir(), group):
            text = "".join(help_text([f"{group}={name}"]).split())
            for key in keys_of((conf_dir() / group / f"{name}.yaml").read_text(encoding="utf-8")):
                assert "".join(key.comment.split()) in text, (group, name, key)


def test_no_such_choice() -> None:
    with pytest.raises(UserError, match=r"^method=ewcc: no such choice; did you mean ewc\?$"):
        help_text(["method=ewcc"])
