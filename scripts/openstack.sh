# Sourced by scripts/test and scripts/test-openstack: the OpenStack that the tests of instances talk to.
#
# HOLDFAST_TEST_OPENSTACK from outside: `no` skips those tests, the folder of one that runs is used as it is.

openstack_why=

# openstack_begin STATE: starts it in the background.
openstack_begin() {
  OPENSTACK_STATE=$1
  openstack_pid=
  [ -z "${HOLDFAST_TEST_OPENSTACK:-}" ] || return 0
  say "starting an OpenStack in the background"
  end2end/openstack/up "$OPENSTACK_STATE" $$ >"$OPENSTACK_STATE.out" 2>"$OPENSTACK_STATE.err" 9>&- &
  openstack_pid=$!
}

# Waits for it and says to the tests where it is. Fails where one should come up and does not.
openstack_ready() {
  local code=0
  if [ "${HOLDFAST_TEST_OPENSTACK:-}" = no ]; then
    openstack_why="HOLDFAST_TEST_OPENSTACK is no"
  elif [ -n "$openstack_pid" ]; then
    say "waiting for the OpenStack"
    wait "$openstack_pid" || code=$?
    openstack_pid=
    HOLDFAST_TEST_OPENSTACK=$(tail -n 1 "$OPENSTACK_STATE.out")
    if [ $code != 0 ]; then
      HOLDFAST_TEST_OPENSTACK=no
      openstack_why=$(tail -n 1 "$OPENSTACK_STATE.err")
      [ $code = 77 ] || cat "$OPENSTACK_STATE.err" >&2
    fi
  fi
  export HOLDFAST_TEST_OPENSTACK
  case $code in 0 | 77) ;; *) return 1 ;; esac
}

# The tests of instances, many at a time: they wait more than they compute. openstack_tests [CARGO TEST OPTIONS]
openstack_tests() {
  [ "$HOLDFAST_TEST_OPENSTACK" != no ] || return 0
  say "tests against a real OpenStack"
  RUST_TEST_THREADS=${RUST_TEST_THREADS:-6} cargo test --workspace --test 'openstack*' --no-fail-fast "$@"
}

openstack_end() {
  if [ -n "${openstack_pid:-}" ]; then
    say "ending the OpenStack that is starting; packages that are being installed are finished first"
    kill "$openstack_pid" 2>/dev/null || true
    wait "$openstack_pid" || true
  fi
  [ -z "${OPENSTACK_STATE:-}" ] || end2end/openstack/down "$OPENSTACK_STATE" || true
}

# The last line of who ran the tests: what was not tried is said.
openstack_note() { [ -z "$openstack_why" ] || say "SKIPPED the tests against a real OpenStack: $openstack_why"; }
