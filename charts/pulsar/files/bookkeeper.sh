# Starts a bookie, once BookKeeper's metadata exists.
set -euo pipefail
source "$(dirname "$0")/workload.sh"

configuration bookkeeper.conf > /tmp/bookkeeper.conf
export BOOKIE_CONF=/tmp/bookkeeper.conf PULSAR_BOOKKEEPER_CONF=/tmp/bookkeeper.conf
wait_for ZooKeeper "$ZOOKEEPER_SERVERS"
until bin/bookkeeper shell whatisinstanceid > /dev/null 2>&1; do
  echo "waiting for BookKeeper's metadata in ZooKeeper at $ZOOKEEPER_SERVERS. If initialize is false, set it to true, and a Job creates it"
  sleep 5
done

# A bookie that lost its disks must not start empty with its old id before its ledgers have other copies. It would answer
# that entries do not exist, and readers would believe that.
id=$(hostname -f):$(sed -n 's/^bookiePort=//p' /tmp/bookkeeper.conf)
while [ ! -e /pulsar/data/bookkeeper/journal/current/VERSION ] && bin/bookkeeper shell cookie_get "$id" > /dev/null 2>&1; do
  echo "the volumes of bookie $id are empty, but it had data. It starts when the others have copied its ledgers. To start that, run" \
    "in the toolset (components.toolset): bin/bookkeeper shell decommissionbookie -bookieid $id"
  sleep 10
done
exec bin/pulsar bookie
