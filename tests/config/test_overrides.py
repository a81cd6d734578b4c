"""What Hydra gets of what is typed."""

from pathlib import Path

import pytest

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.overrides import prepared
from hnet_cl.core.errors import UserError

METHODS = ", ".join(choices(conf_dir(), "method"))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["method=ewc,si", "method.strength=10"], ["method=ewc,si", "method.strength=choice(10)"]),
        (["method=ewc,si", "+target.x=", "seed=3"], ["method=ewc,si", "+target.x=choice('')", "seed=3"]),
        (["benchmark=a,b".replace("a,b", "toy,smnist"), "training.betas=[0.5,0.9]"], None),
        (["method=choice(ewc,si)", "method.a=1,2", "~method.b"], None),
        (['hydra.sweeper.params={method: "ewc,si"}', "method.b='x y'"], ["", "method.b=choice('x y')"]),
        (["seed=1,2", "method.strength=10"], None),
    ],
)
def test_a_fixed_key_below_a_swept_group_is_a_sweep_of_one(typed: list[str], meant: list[str] | None) -> None:
    expected = typed if meant is None else [new or old for new, old in zip(meant, typed, strict=True)]
    assert prepared([*typed, "--multirun"]) == [*expected, "--multirun"]
    assert prepared(typed) == typed


@pytest.mark.parametrize("key", ["output_dir", "data_dir", "hydra.run.dir", "hydra.sweep.dir", "++output_dir"])
def test_a_leading_tilde_is_the_home(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/the/home")
    for typed, meant in (("~/runs", "/the/home/runs"), ("~", "/the/home"), ("'~/a b'", "/the/home/a b")):
        assert prepared([f"{key}={typed}"]) == [f"{key}='{meant}'"]
    same = [f"{key}='x/~'", f"{key}=", f"{key}=~nobody_at_all/x", "method.name='~'"]
    assert prepared(same) == [*same[:2], f"{key}='~nobody_at_all/x'", same[3]]


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("method=[1,2]", f"method=[1,2]: give the name of one choice; there are {METHODS}"),
        ("method=null", f"method=null: give the name of one choice; there are {METHODS}"),
        ("++method=", f"++method=: give the name of one choice; there are {METHODS}"),
        (
            "method={beta:1}",
            f"method={{beta:1}}: give the name of one choice; there are {METHODS}; its keys are method.",
        ),
        ("method=hnetr", f"method=hnetr: no such choice; did you mean hnet_r? there are {METHODS}"),
        ("method=../ewc", f"method=../ewc: no such choice; did you mean ewc? there are {METHODS}"),
        ("method=buffer/per_class", f"method=buffer/per_class: no such choice; there are {METHODS}"),
        ("method=hnet,nop", f"method=nop: no such choice; there are {METHODS}"),
        ("~method", f"~method: cannot be left out; choose another, as method=NAME; there are {METHODS}"),
        *(
            (
                f"hydra.{part}={value}",
                f"hydra.{part}={value}: is chosen by its file, with a slash, as hydra/{part}=NAME; there are {first}, ",
            )
            for part, first in (("launcher", "basic, local"), ("sweeper", "compare, grid"))
            for value in ("nan", "null", "x", "[1]", "1,2", "true")
        ),
        ("hydra/launcher=[local]", "hydra/launcher=[local]: give the name of one choice; there are "),
        ("device=true", "device=true: no such choice; there are cpu, cuda"),
        ("schedule=3", "schedule=3: no such choice; there are full, short"),
        ("", "'': cannot be read as KEY=VALUE"),
        ("=3", "=3: cannot be read as KEY=VALUE"),
        ("seed", "seed: cannot be read as KEY=VALUE"),
        ("seed==3", "seed==3: cannot be read as KEY=VALUE (extraneous input '='); quote "),
        ("seed=1\n2=[", "seed=1\\n2=[: cannot be read as KEY=VALUE ("),
        (f"seed={'[' * 10000}", f"seed={'[' * 95}[...]{'[' * 50}: cannot be read as KEY=VALUE ("),
    ],
)
def test_mistakes_are_one_line(typed: str, line: str) -> None:
    with pytest.raises(UserError) as error:
        prepared([typed])
    assert str(error.value).startswith(line) and "\n" not in str(error.value)


def test_every_mistake_has_its_line() -> None:
    with pytest.raises(UserError) as error:
        prepared(["seed=1", "method=x", "=", "scenario=cl4", "method=x", "--multirun"])
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == ["method=x", "=", "scenario=cl4"]


def test_choices_of_other_places_are_left_to_hydra(tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "mine.yaml").touch()
    assert prepared(["method=mine", f"--config-dir={tmp_path}"])
    for typed in (["method=mine", f"hydra.searchpath=[file://{tmp_path}]"], ["hydra/launcher=basic"], ["~preset"]):
        assert prepared(typed) == typed


@pytest.mark.parametrize("words", [["--config-dir=nowhere"], ["--config-dir", "nowhere", "method=mine"]])
def test_a_config_dir_that_is_not_there_is_named(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"^--config-dir=nowhere: no such folder$"):
        prepared(words)
