#!/usr/bin/env bash
# Sets up .venv beside this folder, then runs the demo or the tests: start.sh demo | test | setup
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

setup() {
  local python=${PYTHON:-python3}
  if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "hnet_cl needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2
    exit 2
  fi
  if [ -f .venv/ready ] && [ .venv/ready -nt pyproject.toml ] && [ .venv/ready -nt constraints.txt ]; then
    return
  fi
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "$python cannot make virtual environments; install its venv package (Debian: apt-get install python3-venv)" >&2
    exit 2
  fi
  "$python" -m venv .venv
  # torch first and by its exact version, so that a CPU build of it is taken where pip has one: left to the resolver,
  # the newest build brings gigabytes of CUDA libraries. torchvision asks for nothing that is not installed anyway.
  local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
  "${pip[@]}" "$(grep '^torch==' constraints.txt)"
  # Its compiled operators work beside the same build alone (+cpu); where pip has none, the rest of it works all the same.
  local vision build
  vision=$(grep '^torchvision==' constraints.txt)
  build=$(.venv/bin/python -c 'from importlib.metadata import version as v; print("".join(v("torch").partition("+")[1:]))')
  "${pip[@]}" --no-deps "$vision$build" 2>/dev/null || "${pip[@]}" --no-deps "$vision"
  "${pip[@]}" --constraint constraints.txt --editable '.[dev]'
  touch .venv/ready
}

case "${1:-}" in
  setup) setup ;;
  demo) setup && exec .venv/bin/python -m hnet_cl ;;
  test) setup && exec .venv/bin/python -m pytest ;;
  *) echo "usage: bash scripts/start.sh demo | test | setup" >&2; exit 2 ;;
esac
