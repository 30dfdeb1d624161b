# Starts a bookie, once BookKeeper's metadata exists.
set -euo pipefail
source "$(dirname "$0")/workload.sh"

configuration bookkeeper.conf > /tmp/bookkeeper.conf
export BOOKIE_CONF=/tmp/bookkeeper.conf PULSAR_BOOKKEEPER_CONF=/tmp/bookkeeper.conf
wait_for ZooKeeper "$ZOOKEEPER_SERVERS"
until bin/bookkeeper shell whatisinstanceid > /dev/null 2>&1; do
  echo "waiting for BookKeeper's metadata in ZooKeeper at $ZOOKEEPER_SERVERS. A Job creates it with initialize=true"
  sleep 5
done

# A bookie whose disks were lost must not come back empty under its name before its ledgers have other copies: readers
# would take its answers for the truth.
id=$(hostname -f):$(sed -n 's/^bookiePort=//p' /tmp/bookkeeper.conf)
while [ ! -e /pulsar/data/bookkeeper/journal/current/VERSION ] && bin/bookkeeper shell cookie_get "$id" > /dev/null 2>&1; do
  echo "the volumes of bookie $id are empty, but it had data. Run bin/bookkeeper shell decommissionbookie -bookieid $id" \
    "in the toolset or another bookie. It copies what this bookie had from others, and then this pod starts"
  sleep 10
done
exec bin/pulsar bookie
