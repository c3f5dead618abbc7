#!/bin/sh
# Installs the workspace into .venv: uv in a private venv, the locked dependencies by hash, then our own members.
set -eu
cd "$(dirname "$0")"
stop() { printf 'install: %s\n' "$1" >&2; exit 1; }

[ -n "${PYTHON:-}" ] || stop "no Python 3.11, 3.12 or 3.13 found; install one, or run: make PYTHON=/path/to/python3.12 ..."
if [ ! -x .uv/bin/uv ]; then
  echo "install: fetching uv into .uv"
  "$PYTHON" -m venv .uv || stop "'$PYTHON -m venv' failed; on Debian: apt-get install python3-venv"
  .uv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock \
    || stop "uv could not be fetched from the package index; check the network or pip's configuration, then run this again"
fi
echo "install: fetching the locked dependencies (about 400 MB the first time)"
.uv/bin/uv venv -q --allow-existing --python "$PYTHON" .venv
VIRTUAL_ENV="$PWD/.venv"; export VIRTUAL_ENV
.uv/bin/uv pip sync --require-hashes requirements.lock \
  || stop "a dependency could not be fetched from the package index; check the network, then run this again"
set -- -e libs/common -e demonstration
for member in services/*/; do set -- "$@" -e "$member"; done
.uv/bin/uv pip install -q --no-deps --no-build-isolation "$@"
touch .venv/.installed
