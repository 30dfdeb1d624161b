# The server's number is its pod's plus one; zookeeper.conf has a line for each.
set -eu
data=/pulsar/data/zookeeper
echo "$((${POD_NAME##*-} + 1))" > "$data/myid"
# Its AdminServer tells which restore its data is from, so that the others are told apart from a stranger before it serves.
for marker in "$data/version-2/restore.json" "$data/restore-joined.json"; do
  [ -e "$marker" ] || continue
  digest=$(sha256sum "$marker")
  export OPTS="${OPTS:-} -Dmetadata-backup.restored=${digest%% *}"
  break
done
exec bin/pulsar zookeeper
