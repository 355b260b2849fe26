# Sourced by `up` and `down`: processes that are started, remembered and ended. STATE is the folder of this OpenStack.

# Every process below `up` carries it, so that `down` finds what no pid file tells of.
MARK=HOLDFAST_OPENSTACK_STATE

# When process $1 started, in ticks since boot: its number may belong to another one later.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Whether the process that NAME's pid file tells of is alive.
running() {
  local file=$STATE/run/$1.pid pid since
  [ -s "$file" ] || return 1
  read -r pid since <"$file"
  [ -n "$since" ] && [ "$(started "$pid")" = "$since" ]
}

# start NAME COMMAND…: in a session of its own, unless it runs.
start() {
  local name=$1
  shift
  running "$name" && return
  setsid "$@" >>"$STATE/log/$name.log" 2>&1 </dev/null 7>&- 8>&- 9>&- &
  echo "$! $(started $!)" >"$STATE/run/$name.pid"
}

# end PID…: TERM to their process groups, KILL after ten seconds.
end() {
  local pid
  for pid in "$@"; do kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || true; done
  for _ in $(seq 100); do
    alive "$@" || return 0
    sleep 0.1
  done
  for pid in "$@"; do kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || true; done
}
alive() {
  local pid
  for pid in "$@"; do
    if kill -0 -- "-$pid" 2>/dev/null || kill -0 "$pid" 2>/dev/null; then return 0; fi
  done
  return 1
}

# stop NAME…: all at once.
stop() {
  local name pid pids=()
  for name in "$@"; do
    if running "$name"; then
      read -r pid _ <"$STATE/run/$name.pid"
      pids+=("$pid")
    fi
  done
  [ ${#pids[@]} = 0 ] || end "${pids[@]}"
  for name in "$@"; do rm -f "$STATE/run/$name.pid"; done
}

# Whoever carries this state's mark.
marked() { grep -lzxF -- "$MARK=$STATE" /proc/[0-9]*/environ 2>/dev/null | cut -d / -f 3 || true; }

# wait_port NAME PORT: until it listens. Generous: compilers may be running beside.
wait_port() {
  for _ in $(seq 1500); do
    port_busy "$2" && return
    running "$1" || break
    sleep 0.2
  done
  tail -n 20 "$STATE/log/$1.log" >&2
  die "$1 does not listen on port $2; see $STATE/log/$1.log"
}
