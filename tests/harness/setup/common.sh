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
