# The server's number is its pod's plus one; zookeeper.conf has a line for each.
set -eu
echo "$((${POD_NAME##*-} + 1))" > /pulsar/data/zookeeper/myid
exec bin/pulsar zookeeper
