"""The Python door: runs, learners and tables from a program that may use Hydra, torch and signals itself."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import CPU
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from marks import few
from processes import hnet_cl

import hnet_cl as package
from hnet_cl import build, load, results, run
from hnet_cl.config.check import check
from hnet_cl.core.errors import UserError
from hnet_cl.loggers.console import ConsoleLog
from hnet_cl.records.embeddings import read_embeddings
from hnet_cl.records.run_result import RunResult
from hnet_cl.scenario import HeadMap

SMALL = ("benchmark=toy", "benchmark.num_tasks=2", "training.iterations=20", "device.threads=1")
Made = Callable[..., RunResult]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Small runs, each trained once."""
    root = tmp_path_factory.mktemp("outputs")

    def call(*overrides: str, **keys: Any) -> RunResult:
        return run(*SMALL, *overrides, output_dir=root, **keys)

    return call


class TestRun:
    @pytest.mark.slow
    def test_it_is_the_run_of_the_command_line(self, made: Made, tmp_path: Path) -> None:
        result = made("method=hnet", seed=3)
        done = hnet_cl(*SMALL, "method=hnet", f"output_dir={tmp_path}", "seed=3")
        other = Path(done.stdout.splitlines()[-1])
        assert result.folder.parts[-3:] == other.parts[-3:]
        assert result["accuracy_matrix"] == json.loads((other / "result.json").read_text())["accuracy_matrix"]
        assert (result.folder / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
        for name in ("config.yaml", "overrides.yaml"):
            written = [(folder / ".hydra" / name).read_text() for folder in (result.folder, other)]
            assert written[0].replace(str(result.folder.parents[2]), str(tmp_path)) == written[1]
        assert result["command"].startswith(" ".join(["python", "-m", "hnet_cl", *SMALL, "method=hnet", "output_dir="]))

    def test_its_result(self, made: Made) -> None:
        result = made("method=hnet", seed=3)
        assert result.matrix.shape == (2, 2) and np.isnan(result.matrix[0, 1])
        assert result.matrix[1].mean() == pytest.approx(result["metrics"]["acc"])
        assert result == json.loads((result.folder / "result.json").read_text())

    def test_a_finished_one_is_returned_at_once(self, made: Made, capsys: pytest.CaptureFixture[str]) -> None:
        first = made("method=hnet", seed=3)
        before = (first.folder / "result.json").stat().st_mtime_ns
        assert made("method=hnet", seed=3) == first
        assert (first.folder / "result.json").stat().st_mtime_ns == before
        assert "This run is finished already" in capsys.readouterr().out

    def test_values_of_python(self, made: Made) -> None:
        keys: dict[str, Any] = {"training.lr_decay": [(0.5, 0.1)], "training.epochs": None, "fresh": False}
        result = made("method=finetune", **keys)
        assert result["overrides"][-3:] == ["training.lr_decay=[[0.5,0.1]]", "training.epochs=null", "fresh=false"]

    def test_a_folder_of_ones_own(self, tmp_path: Path) -> None:
        conf = tmp_path / "my conf"
        (conf / "method").mkdir(parents=True)
        (conf / "method" / "mine.yaml").write_text("defaults:\n  - finetune\n  - _self_\nreset_optimizer: true\n")
        result = run(*SMALL, "method=mine", config_dir=conf, output_dir=tmp_path / "a,b")
        assert result["method"] == "mine" and result.folder.is_relative_to(tmp_path / "a,b")
        assert f"--config-dir={conf}" in result["command"]

    def test_in_a_thread(self, made: Made) -> None:
        found: list[RunResult] = []
        thread = threading.Thread(target=lambda: found.append(made("method=scratch")))
        thread.start()
        thread.join()
        assert found[0]["status"] == "finished"


class TestMistakes:
    @pytest.mark.parametrize(
        ("overrides", "line"),
        [
            (["method.strenght=1"], "method.strenght: no such key; did you mean method.strength?"),
            (["method=hnett"], "method=hnett: no such choice; did you mean hnet?"),
            (["seed=1,2"], "seed=1,2: is several values; call run for each, or give a list, as KEY=[1,2]"),
            (["training.lr=-1"], "training.lr=-1"),
            (["benchmark.name=mine"], "benchmark.name=mine: a run is called by the files"),
            (["-m"], "-m: is a flag of the command line; give KEY=VALUE"),
            (["a b"], "a b: cannot be read as KEY=VALUE"),
        ],
    )
    def test_are_one_line(self, overrides: list[str], line: str, tmp_path: Path) -> None:
        with pytest.raises(UserError) as error:
            run("benchmark=toy", *overrides, output_dir=tmp_path / "out")
        assert str(error.value).startswith(line) and "\n" not in str(error.value)
        assert not (tmp_path / "out").exists()

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"config_dir=.*missing: no such folder"):
            run("benchmark=toy", config_dir=tmp_path / "missing")

    def test_what_fails_in_training_is_recorded(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="loss") as error:
            run(*SMALL, "method=finetune", "training.lr=1e30", output_dir=tmp_path)
        (file,) = tmp_path.rglob("result.json")
        result = json.loads(file.read_text())
        assert (result["status"], result["error"]) == ("failed", str(error.value))


class TestTheProgramAround:
    def test_hydra_is_as_it_was(self, made: Made) -> None:
        with initialize_config_dir(str(build.__file__).rsplit("/hnet_cl/", 1)[0] + "/conf", version_base="1.3"):
            theirs, GlobalHydra.instance().hydra.__dict__["mark"] = GlobalHydra.instance().hydra, 1
            HydraConfig.instance().set_config(compose("config", return_hydra_config=True))
            config = HydraConfig.instance().cfg
            made("method=hnet", seed=3)
            with pytest.raises(UserError):
                made("method.strenght=1")
            assert GlobalHydra.instance().hydra is theirs and HydraConfig.instance().cfg is config
            assert compose("config", ["seed=7"]).seed == 7

    def test_torch_and_signals_are_as_they_were(self, made: Made) -> None:
        torch.set_num_threads(2)
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        state, handlers = torch.get_rng_state(), [*map(signal.getsignal, numbers)]
        made("method=ewc", fresh=True)
        assert torch.get_num_threads() == 2 and torch.equal(torch.get_rng_state(), state)
        assert [*map(signal.getsignal, numbers)] == handlers

    @pytest.mark.slow
    def test_ctrl_c_saves_and_the_same_call_continues(
        self, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = (*SMALL, "method=finetune")
        with monkeypatch.context() as patch:
            patch.setattr(ConsoleLog, "row", lambda *_: os.kill(os.getpid(), signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                run(*words, output_dir=tmp_path)
        (file,) = tmp_path.rglob("result.json")
        assert json.loads(file.read_text())["status"] == "interrupted"
        continued = run(*words, output_dir=tmp_path)
        assert "This run continues after" in capsys.readouterr().out
        assert continued["accuracy_matrix"] == made("method=finetune")["accuracy_matrix"]

    def test_importing_it_is_light(self) -> None:
        heavy = ("torch", "numpy", "hydra", "omegaconf", "pydantic", "pandas", "matplotlib", "rich")
        code = f"import hnet_cl, sys\nassert not set({heavy!r}) & set(sys.modules)\nprint(sorted(hnet_cl.__all__))"
        done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
        assert done.stdout == "['compare', 'load', 'results', 'run']\n", done.stderr

    @pytest.mark.parametrize(
        "imports",
        [
            "import hnet_cl, hnet_cl.compare",
            "import hnet_cl.compare as one; import hnet_cl",
            "from hnet_cl import compare",
        ],
    )
    def test_a_module_called_like_a_function_is_that_function(self, imports: str) -> None:
        same = "import hnet_cl.api, sys; assert hnet_cl.compare is hnet_cl.api.compare; from hnet_cl import compare"
        code = f"{imports}\n{same}\nassert compare is hnet_cl.compare and 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)

    def test_no_other_module_is_called_like_a_function(self) -> None:
        folder = Path(package.__file__).parent
        assert {path.stem for path in folder.iterdir()} & set(package.__all__) == {"compare"}
        assert set(package.__all__) <= set(dir(package))
        with pytest.raises(AttributeError, match="module 'hnet_cl' has no attribute 'runn'"):
            package.runn  # noqa: B018


def share_right(result: RunResult, heads: HeadMap, task: int) -> float:
    """The share of right answers on a task's test data, asked through the door."""
    overrides = [*SMALL, *result["overrides"]]
    with initialize_config_dir(str(Path(build.__file__).parents[1] / "conf"), version_base="1.3"):
        config: Any = compose("config", [word for word in overrides if not word.startswith("output_dir")])
    from hnet_cl.config.resolvers import plain

    benchmark = build.build_benchmark(check(plain(config)), Path("unused"), CPU)
    values, labels = benchmark.tasks[task - 1].test.batch(slice(None))
    answers = load(result.folder).predict(values.numpy(), task=task if heads.task_known else None)
    names = np.array([benchmark.tasks[task - 1].classes[label] for label in labels.tolist()])
    return float(((answers.label == names) & (answers.task == task)).mean())


class TestLoad:
    @pytest.mark.parametrize(
        "overrides",
        few(
            ["method=hnet", "method=hnet_ent scenario=cl3", "method=ewc", "method=joint scenario=cl3"], ["method=hnet"]
        ),
    )
    def test_answers_are_those_of_the_run(self, overrides: str, made: Made) -> None:
        result = made(*overrides.split())
        heads = load(result.folder).trained.learner.heads
        for task in (1, 2):
            assert share_right(result, heads, task) == result["accuracy_matrix"][-1][task - 1]

    @pytest.mark.parametrize("method", ["hnet", "ewc", "scratch"])
    def test_a_tasks_network_is_the_one_that_answers(self, method: str, made: Made) -> None:
        learner = load(made(f"method={method}").folder)
        inputs = torch.randn(5, 2)
        for task in (1, 2):
            logits = learner.network(task)(inputs)[:, learner.outputs(task)]
            wanted = learner.trained.learner.predict(inputs, task - 1).logits
            torch.testing.assert_close(logits, wanted, rtol=1e-5, atol=1e-6)

    def test_generated_weights_and_embeddings(self, made: Made) -> None:
        done = made("method=hnet")
        learner = load(done.folder)
        hypernetwork: Any = learner.trained.learner.hypernetwork
        assert torch.equal(learner.task_embeddings, hypernetwork.embeddings([0, 1]))
        assert read_embeddings(done.folder) == learner.task_embeddings.tolist()
        flat = torch.cat([weight.flatten() for weight in learner.generated(2).values()])
        assert torch.equal(flat, hypernetwork(1))
        assert {name: weight.shape for name, weight in learner.generated(2).items()} == {
            name: weight.shape for name, weight in learner.network(2).state_dict().items()
        }

    @pytest.mark.parametrize("ending", ["pt", "safetensors"])
    def test_an_exported_state_dict(self, ending: str, made: Made, tmp_path: Path) -> None:
        learner = load(made("method=hnet").folder)
        file = learner.export(2, tmp_path / f"network.{ending}")
        if ending == "pt":
            state = torch.load(file, weights_only=True)
        else:
            from safetensors.torch import load_file

            state = load_file(file)
        network = learner.network(1)
        network.load_state_dict(state)
        inputs = torch.randn(4, 2)
        assert torch.equal(network(inputs), learner.network(2)(inputs))

    @pytest.mark.filterwarnings("ignore")  # of onnx about its own parts
    def test_an_exported_graph(self, made: Made, tmp_path: Path) -> None:
        from onnxruntime import InferenceSession

        learner = load(made("method=hnet").folder)
        session = InferenceSession(learner.export(2, tmp_path / "network.onnx"))
        inputs = torch.randn(7, 2)
        (logits,) = session.run(["logits"], {"inputs": inputs.numpy()})
        wanted = learner.network(2)(inputs)[:, learner.outputs(2)].detach().numpy()
        np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-6)
        assert [path.name for path in tmp_path.iterdir()] == ["network.onnx"]

    def test_without_the_package_of_a_format(self, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "safetensors", None)
        with pytest.raises(
            UserError, match=r"\.safetensors files need the package safetensors: pip install 'hnet-cl\["
        ):
            load(made("method=hnet").folder).export(1, tmp_path / "a.safetensors")
        assert list(tmp_path.iterdir()) == []

    def test_mistakes(self, made: Made, tmp_path: Path) -> None:
        hnet, ewc = load(made("method=hnet").folder), load(made("method=ewc").folder)
        assert read_embeddings(made("method=ewc").folder) is None
        mistakes: list[tuple[Callable[[], Any], str]] = [
            (lambda: load(tmp_path), "is no run folder"),
            (lambda: load(made("method=hnet").folder, device="tpu"), "device=tpu: give cpu or cuda"),
            (lambda: hnet.predict(torch.randn(2, 2)), "task: is missing"),
            (lambda: hnet.predict(torch.randn(2, 2), task=3), "task=3: this run has learned tasks 1 to 2"),
            (lambda: hnet.network(0), "task=0: this run has learned tasks 1 to 2"),
            (lambda: hnet.predict(torch.randn(2, 3), task=1), r"inputs: holds float32 of shape \(2, 3\), expected"),
            (lambda: hnet.predict(torch.randn(0, 2), task=1), r"inputs: hold nothing"),
            (lambda: hnet.predict(np.array(["a"]), task=1), r"inputs: .*; expected"),
            (lambda: hnet.predict([[1.0], [1.0, 2.0]], task=1), r"inputs: .*; expected"),
            (
                lambda: hnet.predict([[0.0, 0.0], [0.0, float("nan")]], task=1),
                r"inputs\[1\]: holds numbers that are NaN",
            ),
            (lambda: ewc.generated(1), "method=ewc: generates no weights"),
            (lambda: ewc.task_embeddings, "method=ewc: generates no weights"),
            (
                lambda: hnet.export(1, tmp_path / "a.h5"),
                r"file=.*a.h5: give a name that ends in .pt, .safetensors, .onnx",
            ),
        ]
        for mistake, line in mistakes:
            with pytest.raises(UserError, match=line):
                mistake()


def test_settings_have_columns_in_the_table_of_results(made: Made) -> None:
    folder = made("method=hnet", seed=3).folder
    (row,) = results(folder).to_dict("records")
    assert (row["training.iterations"], row["benchmark"], row["target.hidden"]) == (20, "toy", [10, 10])
