# The server's number is its pod's plus one; zookeeper.conf has a line for each.
set -eu
data=/pulsar/data/zookeeper
echo "$((${POD_NAME##*-} + 1))" > "$data/myid"
# Its AdminServer tells which restore its data is from, so that the others are told apart from a stranger before it serves.
marker=$data/version-2/restore.json
# One that joined has it once it has taken the tree: an empty server saves snapshot.0 before it has met another.
[ -e "$marker" ] || [ -z "$(find "$data" -path "$data/version-2/snapshot.*" ! -name snapshot.0)" ] || marker=$data/restore-joined.json
if [ -e "$marker" ]; then
  digest=$(sha256sum "$marker")
  # The point, too, for a restore of `latest`; not where its characters would need quoting.
  point=$(sed -n 's|^  "restorePoint": "\([A-Za-z0-9:/._=+@,-]*\)",$|-Dmetadata-backup.restore-point=\1|p' "$marker")
  export OPTS="${OPTS:-} -Dmetadata-backup.restored=${digest%% *} $point"
fi
exec bin/pulsar zookeeper
