# Sourced by `up`: Debian's packages of OpenStack and of what it stands on.
# Where they cannot be had, `up` ends with this code and one line that says why.
CANNOT=77
cannot() {
  printf 'no OpenStack on this machine: %s\n' "$*" >&2
  exit $CANNOT
}

# What the configuration and the drivers beside are written for: Zed, the one of Debian 12.
NOVA=26
PACKAGES=(
  python3-keystone python3-glance python3-placement python3-neutron python3-nova python3-cinder
  python3-pymysql python3-waitress python3-openstackclient qemu-utils
  mariadb-server-core mariadb-client-core rabbitmq-server
)

POLICY=/usr/sbin/policy-rc.d
POLICY_TEXT='#!/bin/sh
# Written by end2end/openstack/up for the time of one apt-get.
exit 101'
as_root=()

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
candidate() { apt-cache policy python3-nova 2>/dev/null | sed -n 's/^  Candidate: \([0-9].*\)/\1/p'; }
is_ours() { case ${1#*:} in "$NOVA".*) ;; *) return 1 ;; esac }

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=900 "$@" </dev/null >>"$STATE/log/apt.log" 2>&1 8>&-
}

# No package's script starts a service.
forbid_services() {
  [ ! -e $POLICY ] || [ "$(cat $POLICY)" = "$POLICY_TEXT" ] || return 0
  printf '%s\n' "$POLICY_TEXT" | "${as_root[@]}" tee $POLICY >/dev/null
  "${as_root[@]}" chmod 755 $POLICY
}
allow_services() {
  [ "$(cat $POLICY 2>/dev/null)" != "$POLICY_TEXT" ] || "${as_root[@]}" rm -f $POLICY
}

install_packages() {
  have dpkg-query || cannot "it has no packages of Debian"
  local missing=() p version
  for p in "${PACKAGES[@]}"; do installed "$p" || missing+=("$p"); done
  if [ ${#missing[@]} -gt 0 ]; then
    have apt-get || cannot "it has no apt-get to install ${missing[*]}"
    if [ "$(id -u)" != 0 ]; then
      have sudo && sudo -n true 2>/dev/null || cannot "only root can install ${missing[*]}"
      as_root=(sudo -n)
    fi
    # Together with scripts/setup, two would disturb each other's apt.
    exec 8>"$CACHE/setup.lock"
    flock -w 1800 8 || cannot "another scripts/setup has held $CACHE/setup.lock for half an hour"
    is_ours "$(candidate)" || apt update || true
    version=$(candidate)
    [ -n "$version" ] || cannot "apt knows no package python3-nova"
    is_ours "$version" || cannot "its python3-nova is $version, the tests need Debian 12's $NOVA"
    say "installing ${missing[*]}: a real OpenStack for the tests of instances (once, up to ten minutes)"
    # Fetching may be broken off, installing is not: half a package would be left.
    apt install -y --no-install-recommends --download-only "${missing[@]}" &
    wait $! || { apt update && apt install -y --no-install-recommends --download-only "${missing[@]}"; } || cannot "apt-get could not fetch its packages: $(reason)"
    forbid_services
    apt install -y --no-install-recommends -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io "${missing[@]}" \
      || cannot "apt-get could not install its packages: $(reason)"
    # Nor does the machine start one later.
    case " ${missing[*]} " in
      *" rabbitmq-server "*) [ ! -d /run/systemd/system ] || "${as_root[@]}" systemctl disable -q rabbitmq-server >/dev/null 2>&1 || true ;;
    esac
    allow_services
    exec 8>&-
  fi
  version=$(dpkg-query -W -f '${Version}' python3-nova)
  is_ours "$version" || cannot "its python3-nova is $version, the tests need Debian 12's $NOVA"
}
reason() { grep '^E: ' "$STATE/log/apt.log" | tail -n 1 | cut -c 4- ; }
