# shellcheck disable=SC2154  # ensemble.sh has these variables, and this is appended to it

# --- TLS (appended to ensemble.sh with tls.zookeeper.enabled)
#
# Clients and members speak TLS. The plain client port listens on the loopback interface alone, for the probes and this
# script, so the other members are asked at their AdminServers.

mounted=${ZOOKEEPER_TLS:-/etc/zookeeper-tls}
certificates=$state/zookeeper-tls

# Where `reconfigure` connects to is this member's plain port, and everything else asks for a member's name.
host() {
  if [ "${FUNCNAME[1]:-}" = reconfigure ]; then
    line "$1" participant | sed -E 's/.*;([^;]*):[0-9]+$/\1/'
  else
    line "$1" participant | sed -E 's/^[^=]*=([^:]*):.*/\1/'
  fi
}

runs() { [ -n "$(properties "$1")" ]; }

# leader, follower or observer. Nothing if the member is not part of a quorum.
mode() {
  ask "$(host "$1")" "$(admin_port)" 'GET /commands/server_stats HTTP/1.0\r\n\r\n' |
    sed -nE 's/^.*"server_state" *: *"(leader|follower|observer)".*$/\1/p'
}

# Copies what was renewed. ZooKeeper looks for changes of a file, and a mounted Secret changes by a link above its files.
copy_certificates() {
  local name
  mkdir -p "$certificates"
  for name in ca.crt tls-combined.pem; do
    cmp -s "$mounted/$name" "$certificates/$name" && continue
    (umask 077; cat "$mounted/$name" > "$certificates/$name.new") && replace "$certificates/$name"
  done
}

# Ends with this script, also if nobody has waited for its end yet.
keep_certificates() {
  while sleep "$pause" && grep -qs '^State:[[:space:]]*[^Z[:space:]]' "/proc/$$/status"; do
    copy_certificates || true
  done
}

# Ends the start if the Secret does not have what ZooKeeper can read.
require_certificates() {
  local name problem=''
  for name in ca.crt tls-combined.pem; do
    grep -qs -e '-BEGIN CERTIFICATE-' "$mounted/$name" || problem="has no $name with a certificate"
  done
  [ -n "$problem" ] || grep -q -e '-BEGIN PRIVATE KEY-' "$mounted/tls-combined.pem" ||
    problem="has no PKCS#8 key (BEGIN PRIVATE KEY) in tls-combined.pem"
  [ -z "$problem" ] && return
  echo "error: the Secret of tls.zookeeper $problem. Add it (TLS of ZooKeeper in docs/kubernetes.md)" >&2
  exit 1
}

require_certificates
copy_certificates
keep_certificates &
