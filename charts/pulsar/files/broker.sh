# Starts a broker, once a bookie and the cluster's metadata exist.
set -euo pipefail
source "$(dirname "$0")/workload.sh"

configuration broker.conf > /tmp/broker.conf
grep -q '^advertisedAddress=.' /tmp/broker.conf || echo "advertisedAddress=$(hostname -f)" >> /tmp/broker.conf
echo OK > /pulsar/logs/status
wait_for ZooKeeper "$ZOOKEEPER_SERVERS"
[ -z "${BOOKIES:-}" ] || wait_for "a bookie" "$BOOKIES"
until bin/pulsar zookeeper-shell -server "$ZOOKEEPER_SERVERS" get "/admin/clusters/$CLUSTER_NAME" > /dev/null 2>&1; do
  echo "waiting for the metadata of cluster $CLUSTER_NAME in ZooKeeper at $ZOOKEEPER_SERVERS. If initialize is false, set it to true, and a Job creates it"
  sleep 5
done
export PULSAR_BROKER_CONF=/tmp/broker.conf
exec bin/pulsar broker
