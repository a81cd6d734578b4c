"""The built distributions: what is in them, and that the wheel works far from the checkout."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
FOLDERS = ("hnet_cl", "conf", "docs", "tests", "scripts", "examples")
PARTS = (*FOLDERS, "mkdocs.yml", "pyproject.toml", "constraints.txt", ".gitignore")
TEXTS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE")

pytestmark = pytest.mark.slow


def output(*command: str | Path, cwd: Path) -> str:
    """What a command prints; fails with all it says if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of sdist and wheel, built from a checkout in which runs and data lie about."""
    source = tmp_path_factory.mktemp("source")
    for name in (*PARTS, *TEXTS):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    for name in ("outputs", "data", "multirun", ".venv"):
        (source / name).mkdir()
        (source / name / "large.bin").touch()
    output(sys.executable, "-m", "build", "--outdir", source / "dist", cwd=source)
    return source / "dist"


def environment(folder: Path, dist: Path, borrowed: Path) -> Path:
    """Programs of an environment with the wheel and without what it needs, but for the packages in `borrowed`."""
    venv.create(folder, symlinks=True)
    (wheel,) = dist.glob("*.whl")
    python = folder / "bin" / "python"
    output(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel, cwd=folder)
    site = Path(output(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    (site / "borrowed.pth").write_text(str(borrowed))  # .pth files found there are not followed
    return folder / "bin"


@pytest.fixture(scope="module")
def bin_dir(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment with the wheel and all packages of the tests' environment."""
    return environment(tmp_path_factory.mktemp("environment"), dist, Path(sysconfig.get_path("purelib")))


def needed_by(name: str, found: dict[str, Distribution]) -> None:
    """Adds an installed package and all that it needs here."""
    found[name] = distribution(name)
    for wanted in map(Requirement, found[name].requires or ()):
        if wanted.name not in found and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            needed_by(wanted.name, found)


def test_the_wheel_holds_package_and_conf(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = [("hnet_cl", pattern, "hnet_cl") for pattern in ("*.py", "*.css", "*.js", "*.html")]
    for folder, pattern, inside in (*sources, ("conf", "*.yaml", "hnet_cl/conf")):
        files = {f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" for path in (ROOT / folder).rglob(pattern)}
        assert files and files <= names
    assert {name.partition("/")[0] for name in names} == {"hnet_cl", "hnet_cl-0.1.0.dist-info"}


def test_the_sdist_holds_sources_and_neither_runs_nor_data(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"conf/config.yaml", "hnet_cl/app.py", "tests/test_packaging.py", "scripts/start.sh", *TEXTS} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops == {*PARTS, *TEXTS, "PKG-INFO"}


def test_the_wheel_works_from_another_folder(bin_dir: Path, tmp_path: Path) -> None:
    where = output(bin_dir / "python", "-c", "import hnet_cl; print(hnet_cl.__file__)", cwd=tmp_path)
    assert where.startswith(str(bin_dir.parent))
    assert "benchmark=pmnist_mini" in output(bin_dir / "python", "-m", "hnet_cl", "--help", cwd=tmp_path)
    arguments = ("benchmark=toy", "method=finetune", "training.iterations=10", "device.threads=1")
    folder = tmp_path / output(bin_dir / "hnet-cl", *arguments, cwd=tmp_path).splitlines()[-1]
    assert folder.is_relative_to(tmp_path / "outputs")
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"


def test_the_library_needs_torch_alone(dist: Path, tmp_path: Path) -> None:
    found: dict[str, Distribution] = {}
    needed_by("torch", found)
    borrowed = tmp_path / "borrowed"
    borrowed.mkdir()
    for package in found.values():
        for name in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            (borrowed / name).symlink_to(str(package.locate_file(name)))
    python = environment(tmp_path / "environment", dist, borrowed) / "python"
    code, *_ = re.findall(
        r"```python\n(import torch\n.*?)```", (ROOT / "docs" / "howto" / "library.md").read_text(), re.DOTALL
    )
    (tmp_path / "example.py").write_text(code)
    accuracies = re.findall(r"task \d: accuracy (\S+)", output(python, "example.py", cwd=tmp_path))
    assert len(accuracies) == 2 and all(float(accuracy) > 0.97 for accuracy in accuracies)
    others = "import importlib.util as u; print([n for n in ('pydantic', 'hydra', 'pandas') if u.find_spec(n)])"
    assert output(python, "-c", others, cwd=tmp_path) == "[]\n"
