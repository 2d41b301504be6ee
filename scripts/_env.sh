# Sourced by the other scripts: changes to the clone's folder and makes its .venv there. Works with bash 3.2.
#
#   use_environment EXTRA    .venv with this project and its extra (demo, dev); sets PYTHON

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

say() { echo "==> $*" >&2; }
fail() { echo "error: $*" >&2; exit 1; }

use_environment() {
  PYTHON="$PWD/.venv/bin/python"
  # Every proxy is two processes: what they import is compiled once, and the clone stays clean.
  export PYTHONPYCACHEPREFIX="$PWD/.venv/pycache"
  unset PYTHONDONTWRITEBYTECODE
  if is_ready "$1" || { [ "$1" = demo ] && is_ready dev; }; then return 0; fi
  say "Installing Sessiontap and what it needs into .venv (once; a minute or two)"
  if ! { is_usable && install "$1"; }; then
    make_with_uv "$1" || make_with_python "$1"
  fi
  stamp "$1" > ".venv/made-for-$1"
}

# What the environment was made from: another pyproject.toml, another place of the clone, another extra make it stale.
stamp() { echo "$1 $PWD $(cksum < pyproject.toml)"; }

is_ready() {
  [ -f ".venv/made-for-$1" ] && [ "$(cat ".venv/made-for-$1")" = "$(stamp "$1")" ] \
    && "$PYTHON" -c 'import sessiontap, mitmproxy' >/dev/null 2>&1
}

# One that an interrupted run left is gone on with; one of another place, or whose Python has gone, is not.
is_usable() {
  [ -f .venv/place ] && [ "$(cat .venv/place)" = "$PWD" ] && runs "$PYTHON" \
    && { [ -x .venv/bin/pip ] || command -v uv >/dev/null 2>&1; }
}

make_with_uv() {
  command -v uv >/dev/null 2>&1 || return 1
  rm -rf .venv
  uv venv --quiet --python '>=3.12' .venv >/dev/null 2>&1 || return 1
  echo "$PWD" > .venv/place
  install "$1"
}

make_with_python() {
  local base
  base=$(find_python) || fail "Sessiontap needs Python 3.12 or newer with its venv module: install it (python.org," \
    "or your system's python3.12 and python3.12-venv), or install uv (docs.astral.sh/uv)."
  rm -rf .venv
  "$base" -m venv .venv >&2 || fail "$base could not make .venv; is there room, and may you write here?"
  echo "$PWD" > .venv/place
  install "$1" || { explain_install; fail "the packages could not be installed; the whole log is in .venv/install.log."; }
}

# Quiet while it works.
install() {
  if [ -x .venv/bin/pip ]; then
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-input -e ".[$1]" > .venv/install.log 2>&1
  else
    uv pip install --quiet --python "$PYTHON" -e ".[$1]" > .venv/install.log 2>&1
  fi
}

# What went wrong, without the addresses of package indexes: they may hold passwords.
explain_install() {
  grep -i 'error' .venv/install.log | tail -n 5 | sed -e 's|[a-z+]*://[^ ,)]*|<address>|g' -e "s|host='[^']*'|host=...|g" >&2 \
    || true
}

# A Python that really runs, new enough, able to make a venv: pyenv's shims exist for inactive versions too, and fail.
runs() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in python3.14 python3.13 python3.12 python3; do
    if runs "$candidate"; then command -v "$candidate"; return 0; fi
  done
  for candidate in $(pyenv_pythons); do
    if runs "$candidate"; then echo "$candidate"; return 0; fi
  done
  return 1
}

# Newest first, by number: 3.13.10 before 3.13.9.
pyenv_pythons() {
  local python
  for python in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[234]*/bin/python; do
    echo "${python%/bin/python}" | sed "s|.*/versions/||; s|\$| $python|"
  done | sort -t. -k1,1nr -k2,2nr -k3,3nr | cut -d' ' -f2
}
