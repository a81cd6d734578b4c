"""The shipped yaml files: where they are and which choices they offer."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

NESTED = {group: ["*.yaml", "*/*.yaml"] for group in ("experiment", "preset", "recipe")}  # groups with folders


def conf_dir() -> Path:
    """Returns the folder of the yaml groups: inside the installed package, or beside it in a checkout.

    Neither of Hydra's own search paths (relative and `pkg://`) finds it in a checkout, an editable install and a wheel
    alike.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/config.yaml in {package} nor beside it: the installation is incomplete")


def choices(folder: Path, group: str) -> dict[str, str]:
    """Returns the choices of a group, each with the first comment line of its file (empty if there is none)."""
    paths = sorted(path for pattern in NESTED.get(group, ["*.yaml"]) for path in (folder / group).glob(pattern))
    return {path.relative_to(folder / group).with_suffix("").as_posix(): _first_comment(path) for path in paths}


def _first_comment(path: Path) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:].strip()
    return ""


def own_folders(arguments: Sequence[str]) -> list[Path]:
    """Returns the folders that --config-dir names among the command line's arguments."""
    found = []
    for this, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        name, equals, value = this.partition("=")
        if name in ("--config-dir", "-cd"):
            found.append(Path(value if equals else following))
    return found
