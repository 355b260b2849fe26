# Sourced by every script: the root of the checkout, where things are kept, and a few words to say.
#
# Everything that is built or fetched lives outside the checkout, so that a second clone starts fast:
#   ~/.cache/holdfast/target   what cargo builds (CARGO_TARGET_DIR wins where it is set)
#   ~/.cache/holdfast/tools    wasm-bindgen, wasm-opt, the S3 emulator
set -euo pipefail

HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export HOME
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/holdfast
TOOLS=$CACHE/tools
mkdir -p "$TOOLS"
case ${CARGO_TARGET_DIR:=$CACHE/target} in
  /*) ;;
  *) CARGO_TARGET_DIR=$ROOT/$CARGO_TARGET_DIR ;;
esac
export CARGO_TARGET_DIR
[ -d "$HOME/.cargo/bin" ] && PATH=$HOME/.cargo/bin:$PATH
export PATH=$TOOLS/bin:$TOOLS/node_modules/.bin:$PATH

# Which compiler can build for the browser: written by scripts/setup.
# shellcheck source=/dev/null
[ -f "$CACHE/toolchain.env" ] && . "$CACHE/toolchain.env"

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# The first of several commands that is there.
first_of() {
  local c
  for c in "$@"; do have "$c" && { command -v "$c"; return 0; }; done
  return 1
}

# A TCP port of 127.0.0.1 that nobody listens on.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Whether somebody listens on port $1 of 127.0.0.1.
port_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
