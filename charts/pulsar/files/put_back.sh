# Runs the program with these arguments, once ZooKeeper and a broker accept connections.
set -euo pipefail

broker=${BROKER_SERVICE_URL#*://}
broker=${broker%/}
if ! [[ $broker =~ :[0-9]+$ ]]; then
  [[ $BROKER_SERVICE_URL = https:* ]] && broker+=:443 || broker+=:80
fi
wait_for ZooKeeper "$ZOOKEEPER_SERVERS"
wait_for "a broker" "$broker"
exec metadata-tool "$@"
