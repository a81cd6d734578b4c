"""Which loggers a run has: several, none, a user's own; what they are does not change which run it is."""

from pathlib import Path

import pytest
from in_process import command
from processes import folder_of, in_process, result_of

from hnet_cl.config.conf_files import choices, conf_dir
from hnet_cl.config.resolvers import read_config
from hnet_cl.core.config_hash import config_id

QUICK = ("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=4", "training.log_every=2")
MINE = """
from hnet_cl.records.logger import Logger


class Lines(Logger):
    class Settings(Logger.Settings):
        file: str

    def begin_run(self, state):
        self.write(state, f"begin {state.facts.method} {state.learned}")

    def losses(self, state, losses):
        self.write(state, f"losses {state.iterations_done} {len(losses) > 0}")

    def row(self, state):
        mean = sum(state.matrix[-1][: state.learned]) / state.learned
        self.write(state, f"row {state.learned} {state.metrics['acc'] == mean}")

    def end_run(self, state):
        self.write(state, f"end {state.status}")

    def write(self, state, line):
        with (state.folder / self.settings.file).open("a") as file:
            print(line, file=file)
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["logger=[tensorbord]"], "logger=tensorbord: no such choice; did you mean tensorboard?"),
        (["logger=null"], "logger=null: give names in brackets, or logger=[]"),
        (["~logger"], "~logger: cannot be left out; give logger=[]"),
        (["logger.tensorboard.colour=1"], "logger.tensorboard.colour: no such key"),
        (["+logger.tensorboard.colour=1"], "logger.tensorboard.colour: no such key"),
        (
            ["logger.tensorboard._target_=torch.nn.Linear"],
            "logger.tensorboard._target_=torch.nn.Linear: is no subclass of hnet_cl.records.logger.Logger",
        ),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    ended = command(tmp_path, *QUICK, *arguments)
    assert len(ended.lines) == 1 and ended.lines[0].startswith(said)


@pytest.mark.parametrize("chosen", ["logger=[]", "logger=tensorboard", "logger=[tensorboard]"])
def test_names_in_brackets_or_one_name(chosen: str, tmp_path: Path) -> None:
    ended = command(tmp_path, *QUICK, chosen)
    assert (ended.code, ended.err, len(ended.jobs)) == (0, "", 1)


def test_each_choice_says_what_it_is() -> None:
    assert choices(conf_dir(), "logger").keys() == {"tensorboard", "wandb", "mlflow"}
    assert all(choices(conf_dir(), "logger").values())


@pytest.mark.slow
def test_a_logger_of_ones_own_beside_another_in_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One Python file and one yaml, in folders of the user's."""
    conf, code = tmp_path / "conf" / "logger", tmp_path / "code"
    conf.mkdir(parents=True)
    code.mkdir()
    (code / "my_lines.py").write_text(MINE)
    (conf / "lines.yaml").write_text("# Lines\nlines:\n  _target_: my_lines.Lines\n  file: lines.txt\n")
    monkeypatch.syspath_prepend(code)
    plain = folder_of(in_process(*QUICK, "logger=[]", f"output_dir={tmp_path / 'plain'}"))
    both = folder_of(
        in_process(
            *(f"--config-dir={tmp_path / 'conf'}", *QUICK, "logger=[lines,tensorboard]", "logger.lines.file=mine.txt"),
            f"output_dir={tmp_path / 'both'}",
        )
    )
    assert (both / "mine.txt").read_text().splitlines() == [
        *("begin hnet 0", "losses 2 True", "losses 4 True", "row 1 True"),
        *("losses 6 True", "losses 8 True", "row 2 True", "end finished"),
    ]
    assert list(both.glob("events.*")) and not list(plain.glob("events.*"))
    for key in ("config_id", "accuracy_matrix"):
        assert result_of(plain)[key] == result_of(both)[key]
    config = read_config(both / ".hydra" / "config.yaml")
    assert config["logger"].keys() == {"lines", "tensorboard"}
    assert config_id(config) == config_id({key: value for key, value in config.items() if key != "logger"})
