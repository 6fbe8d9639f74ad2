# Sourced by the scripts in this folder. Results go to stdout, everything that
# a person reads to stderr; a script that has nothing to do prints nothing.
# shellcheck shell=bash

set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/apim-operator

case $(uname -s) in
  Linux) os=linux ;;
  Darwin) os=darwin ;;
  *) os=unknown ;;
esac
case $(uname -m) in
  x86_64 | amd64) arch=amd64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) arch=unknown ;;
esac

# One line per step, so that a person sees what takes the time.
step() { printf '==> %s\n' "$*" >&2; }

# The message names what is missing and the way out.
fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# A folder beside its final place, so that the last step is one rename: an
# interrupted build leaves nothing that looks finished. Sets $work.
work_folder() {
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/.unfinished.XXXXXX")
  # Go makes its downloads read-only, which would stop rm.
  trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

# Installs one package from PyPI into a virtual environment of its own, unless
# the command in "$@" works. Not in a work folder: an environment's scripts
# name its place, so it is made where it stays.
# usage: python_package FOLDER PACKAGE==VERSION COMMAND…
python_package() {
  local environment=$1 package=$2
  shift 2
  "$@" >/dev/null 2>&1 && return
  have python3 || fail "python3 is missing, which $package needs: for example apt-get install python3 python3-venv"
  step "installing $package into $environment"
  mkdir -p "$cache"
  # Two runs at once must not write into one folder.
  exec 9>"$environment.lock"
  if have flock; then flock 9; fi
  "$@" >/dev/null 2>&1 && return
  rm -rf "$environment"
  if ! { python3 -m venv "$environment" &&
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$package"; } >&2 ||
    ! "$@" >/dev/null 2>&1; then
    rm -rf "$environment"
    fail "$package could not be installed; see above." \
      "pip's index must be reachable, and python3 must have venv (apt-get install python3-venv)"
  fi
}
