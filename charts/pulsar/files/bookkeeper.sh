# Starts a bookie, once BookKeeper's metadata exists.
set -euo pipefail
source "$(dirname "$0")/workload.sh"

configuration bookkeeper.conf > /tmp/bookkeeper.conf
export PULSAR_BOOKKEEPER_CONF=/tmp/bookkeeper.conf  # BOOKIE_CONF is set for `kubectl exec`, too
wait_for ZooKeeper "$ZOOKEEPER_SERVERS"
until bin/bookkeeper shell whatisinstanceid > /dev/null 2>&1; do
  echo "waiting for BookKeeper's metadata in ZooKeeper at $ZOOKEEPER_SERVERS. If initialize is false, set it to true, and a Job creates it"
  sleep 5
done

# A bookie that was killed stays registered until its session ends. Its successor, which has another address, would fail
# to register until then, and hang. The lost one could not be decommissioned, either.
id=$(hostname -f):$(sed -n 's/^bookiePort=//p' /tmp/bookkeeper.conf)
registered() { { bin/bookkeeper shell listbookies -rw; bin/bookkeeper shell listbookies -ro; } 2> /dev/null || true; }
while registered | grep -F "BookieID:$id," > /dev/null; do
  echo "waiting until ZooKeeper ends the session of bookie $id, which did not stop by itself"
  sleep 5
done

# A bookie that lost its disks must not start empty with its old id before its ledgers have other copies. It would answer
# that entries do not exist, and readers would believe that.
lost=
for volume in journal ledgers; do
  [ -e "/pulsar/data/bookkeeper/$volume/current/VERSION" ] || lost="$lost $volume"
done
while [ -n "$lost" ] && bin/bookkeeper shell cookie_get "$id" > /dev/null 2>&1; do
  echo "bookie $id had data, but these of its volumes are empty:$lost. It starts when the others have copied its ledgers. To" \
    "start that, run in the toolset (components.toolset) or another bookie: bin/bookkeeper shell decommissionbookie -bookieid $id." \
    "If there are fewer other bookies than copies of a ledger, raise bookkeeper.replicaCount first"
  sleep 10
done
exec bin/pulsar bookie
