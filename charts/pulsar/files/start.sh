# Starts this member of the ensemble. Beside this script are zookeeper.conf, member, replicas and ensemble.sh.
# The script stays ZooKeeper's parent. It forwards signals, and starts ZooKeeper a second time for a new ensemble (see
# ensemble.sh).
set -euo pipefail
source "$(dirname "$0")/ensemble.sh"

run() {
  configure
  OPTS="$own_options $(restore_options) $(new_options)" PULSAR_ZK_CONF=$conf bin/pulsar zookeeper &
  server=$!
  echo "$server" > "$state/server.pid"
}

own_options="${OPTS:-} -XX:+ExitOnOutOfMemoryError -Dzookeeper.db.autocreate=false $(superuser_option)"
stopping=
trap 'stopping=yes; kill "$server" 2> /dev/null' TERM INT
run
watch_ensemble &
watch=$!
trap 'kill "$watch" 2> /dev/null' EXIT
while true; do
  code=0
  wait "$server" || code=$?
  kill -0 "$server" 2> /dev/null && continue  # a signal ended the wait, not the server
  [ -z "$stopping" ] && [ -e "$state/start-requested" ] || exit "$code"
  rm "$state/start-requested"
  run
done
