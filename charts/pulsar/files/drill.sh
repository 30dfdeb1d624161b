# The two ends of a drill in the program's container, by the first argument:
#
# run PIPE COMMAND…    runs the program as soon as the container of ZooKeeper listens, with the pipe open until it ends
# server PIPE ZOO_CFG  has that container run a server, and ends with it. SIGTERM ends the server.
set -euo pipefail
role=$1
pipe=$2
shift 2

if [ "$role" = run ]; then
  mkfifo "$pipe" 2> /dev/null || true  # the other container may have made it
  exec 3> "$pipe"
  exec "$@"
fi

exec 3> "$pipe"
trap 'echo stop >&3' TERM
echo "start $1" >&3
until [ -e "$1.ended" ]; do
  sleep 0.2 &
  wait $! || true
done
exit "$(< "$1.ended")"
