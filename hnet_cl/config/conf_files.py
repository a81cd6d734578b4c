"""The shipped yaml files: where they lie and what they offer."""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

NESTED = {group: ["*.yaml", "*/*.yaml"] for group in ("preset", "recipe")}  # with a folder for each benchmark


def conf_dir() -> Path:
    """The folder of the yaml groups: inside the installed package, or beside it in a checkout.

    Hydra's own relative and `pkg://` search paths do not find it in all of checkout, editable install and wheel.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/config.yaml in {package} nor beside it: the installation is incomplete")


def choices(folder: Path, group: str) -> dict[str, str]:
    """The choices of a group and the first comment line of each one's file."""
    paths = sorted(path for pattern in NESTED.get(group, ["*.yaml"]) for path in (folder / group).glob(pattern))
    return {path.relative_to(folder / group).with_suffix("").as_posix(): _first_comment(path) for path in paths}


def _first_comment(path: Path) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:].strip()
    return ""


def own_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders that --config-dir names among the command line's arguments."""
    found = []
    for this, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        name, equals, value = this.partition("=")
        if name in ("--config-dir", "-cd"):
            found.append(Path(value if equals else following))
    return found
