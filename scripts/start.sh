#!/usr/bin/env bash
# Sets up .venv beside this folder, then runs the demo or the tests: start.sh demo | test | setup
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

patiently() {  # patiently MESSAGE COMMAND...: says what it does, with a dot every three seconds; its output goes to a file
  local status=0 start=$SECONDS
  printf '%s ' "$1"
  shift
  while sleep 3 && kill -0 $$ 2>/dev/null; do printf .; done &
  trap "kill $! 2>/dev/null" EXIT
  "$@" >> .venv/setup.log 2>&1 || status=$?
  kill $! 2>/dev/null && wait $! 2>/dev/null || true
  trap - EXIT
  printf ' %d s\n' $((SECONDS - start))
  if [ "$status" != 0 ]; then
    tail -n 20 .venv/setup.log >&2
    echo "start.sh: that failed; all of its output is in .venv/setup.log" >&2
    exit "$status"
  fi
}

install() { .venv/bin/python -m pip install --disable-pip-version-check "$@"; }

# torch first and by its exact version, so that a CPU build of it is taken where pip has one: left to the resolver, the
# newest build brings gigabytes of CUDA libraries. torchvision asks for nothing that is not installed anyway.
install_torch() { install "$(grep '^torch==' constraints.txt)"; }

# Its compiled operators work beside the same build alone (+cpu); where pip has none, the rest of it works all the same.
install_torchvision() {
  local vision build
  vision=$(grep '^torchvision==' constraints.txt)
  build=$(.venv/bin/python -c 'from importlib.metadata import version as v; print("".join(v("torch").partition("+")[1:]))')
  install --no-deps "$vision$build" || install --no-deps "$vision"
}

install_rest() { install --constraint constraints.txt --editable '.[dev]'; }

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
  echo "Setting up .venv ($("$python" --version)): it will take about 1.3 GB on the disk."
  mkdir -p .venv
  patiently "1/4 Making the virtual environment" "$python" -m venv .venv
  patiently "2/4 Installing torch (a download of about 200 MB, or some GB where pip has no CPU build)" install_torch
  patiently "3/4 Installing torchvision (some MB)" install_torchvision
  patiently "4/4 Installing hnet_cl, what it needs and the development tools (about 250 MB)" install_rest
  touch .venv/ready
}

demo() {
  echo "Running the demo: five tasks of permuted digits, about a minute; it needs no data files."
  exec .venv/bin/python -m hnet_cl
}

tests() {
  echo "Running the quick tests: some minutes; the first results come after half a minute."
  exec .venv/bin/python -m pytest
}

case "${1:-}" in
  setup) setup ;;
  demo) setup && demo ;;
  test) setup && tests ;;
  *) echo "usage: bash scripts/start.sh demo | test | setup" >&2; exit 2 ;;
esac
