#!/usr/bin/env bash
# Runs the quick tests with the oldest or the newest versions that pyproject.toml allows, in an environment of its own:
#   bash scripts/test_versions.sh oldest | newest [arguments of pytest ...]
# PYTHON=/path/to/python picks the interpreter, VENV=/path the environment's place. A registry's default torch may bring gigabytes of CUDA libraries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

end=${1:-}
case "$end" in
  oldest | newest) shift ;;
  *) echo "usage: bash scripts/test_versions.sh oldest | newest [arguments of pytest ...]" >&2; exit 2 ;;
esac
venv=${VENV:-.venv-$end}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"

versions=$venv/versions.txt
"$venv/bin/python" - "$end" > "$versions" <<'PYTHON'
import re, sys, tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
tools = ("ruff", "mypy", "build", "hatchling", "pre-commit")  # make no tests
wanted = [*project["dependencies"], *(part for name in ("joblib", "slurm", "search", "efficientnet", "export", "rl", "dev")
                                      for part in project["optional-dependencies"][name])]
for part in wanted:
    name, bound = re.match(r"([\w-]+)(?:\[.*\])?(?:>=([\d.]+))?", part).groups()
    if bound and name not in tools:
        print(f"{name}=={bound}" if sys.argv[1] == "oldest" else part)
PYTHON

# What old packages need in turn: later releases of these deprecate what they call.
[ "$end" = newest ] || echo "pyparsing<3.3" >> "$versions"

# One call for all: torchvision says which torch it belongs to, and nothing may replace a version afterwards.
pip=("$venv/bin/python" -m pip --disable-pip-version-check)
"${pip[@]}" install --quiet --upgrade --requirement "$versions"
"${pip[@]}" install --quiet --no-deps --editable .
"${pip[@]}" list --format freeze > "$venv/installed.txt"
exec "$venv/bin/python" -m pytest "$@"
