# shellcheck disable=SC2034,SC2154  # ensemble.sh has these variables, and this is appended to it

# --- the volume for transaction logs (appended to ensemble.sh with zookeeper.volumes.useSeparateDiskForTxlog)
#
# A tree is a snapshot and the logs since. A member that starts without its logs serves an older tree, and with the logs
# of another tree a mixed one. So both volumes hold the same random identity, in version-2, which a restore moves aside
# in both. A member does not start unless the identities are the same, or neither volume has been used.

logs=${ZOOKEEPER_DATA_LOG:-/pulsar/data-log}

files() { find "$data/version-2" "$logs/version-2" -maxdepth 1 -name "$1" ! -name '*.tmp'; }

# Ends the start with a message: refuse WHAT WHAT-TO-DO.
refuse() {
  echo "error: $1. $2" >&2
  exit 1
}

has_logs() { [ -n "$(find "$1/version-2" -maxdepth 1 -name 'log.*' 2> /dev/null)" ]; }

require_log_volume() {
  local own there both="if the other members serve, delete both volume claims of this member, so that it takes their tree"
  own=$(cat "$ensemble/log-volume" 2> /dev/null) || true
  there=$(cat "$logs/version-2/log-volume" 2> /dev/null) || true
  if has_logs "$data"; then
    refuse "$data holds transaction logs, and zookeeper.volumes.useSeparateDiskForTxlog is true" \
      "Set it to false, or start a new release from a backup"
  elif [ -n "$own" ] && [ "$own" != "$there" ]; then
    refuse "$logs is not the volume with the transaction logs of $data, without which ZooKeeper would serve an older tree" \
      "Mount that volume, or $both (docs/kubernetes.md)"
  elif [ -z "$own" ] && has_logs "$logs"; then
    refuse "$logs holds transaction logs that do not belong to $data, and ZooKeeper would replay them" \
      "Mount the volume that they belong to, or $both (docs/kubernetes.md)"
  elif [ -z "$own" ]; then
    mkdir -p "$ensemble" "$logs/version-2"
    od -An -N8 -tx8 /dev/urandom | tr -d ' ' > "$logs/version-2/log-volume.new"
    cp "$logs/version-2/log-volume.new" "$ensemble/log-volume.new"
    replace "$logs/version-2/log-volume"
    replace "$ensemble/log-volume"
  fi
}

# A start without this volume, and without this script, would serve an older tree. It fails at this directory instead,
# because that is where it writes its configuration. So this script needs another name for its own.
keep_other_starts_out() {
  mkdir -p "$ensemble/zookeeper.conf.new"
  conf=$ensemble/zookeeper-with-log-volume.conf
}

require_log_volume
ln -sfn "$logs/initialize" "$data/initialize"  # ZooKeeper looks for this file beside its logs
keep_other_starts_out
