# Starts a broker, once the cluster's metadata and a bookie exist.
set -euo pipefail
source /etc/pulsar/configuration.sh

zookeeper() { bin/pulsar zookeeper-shell -server "$ZOOKEEPER_SERVERS" "$@" 2> /dev/null; }

configuration broker.conf > /tmp/broker.conf
grep -q '^advertisedAddress=.' /tmp/broker.conf || echo "advertisedAddress=$(hostname -f)" >> /tmp/broker.conf
echo OK > /pulsar/logs/status
until zookeeper get "/admin/clusters/$CLUSTER_NAME" > /dev/null; do
  echo "waiting for the metadata of cluster $CLUSTER_NAME in ZooKeeper at $ZOOKEEPER_SERVERS. A Job creates it with initialize=true"
  sleep 5
done
until [ -z "${BOOKIE_PORT:-}" ] || zookeeper ls /ledgers/available | grep ":$BOOKIE_PORT[],]" > /dev/null; do
  echo "waiting for a bookie"
  sleep 5
done
export PULSAR_BROKER_CONF=/tmp/broker.conf
exec bin/pulsar broker
