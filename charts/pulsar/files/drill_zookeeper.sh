# Runs ZooKeeper for a drill, whose program is in another container of the pod. The arguments are a pipe and a command
# that runs a server in the foreground with the zoo.cfg in PULSAR_ZK_CONF.
#
# The program's container holds the pipe open for as long as it lives. A line `start <zoo.cfg>` starts the server, and
# `stop`, or the end of the program, ends it. The server's exit status is left in <zoo.cfg>.ended.
set -euo pipefail
pipe=$1
shift
server=

# Runs the server, and forwards SIGTERM to it.
run() {
  local config=$1 code=0 child='' stopping=''
  shift
  trap 'stopping=yes; [ -z "$child" ] || kill "$child" 2> /dev/null || true' TERM
  PULSAR_ZK_CONF=$config "$@" < /dev/null 3<&- &
  child=$!
  [ -z "$stopping" ] || kill "$child"
  wait "$child" || code=$?
  while kill -0 "$child" 2> /dev/null; do  # the signal ended the wait, not the server
    code=0
    wait "$child" || code=$?
  done
  echo "$code" > "$config.ended.new"
  mv "$config.ended.new" "$config.ended"
}

stop() {
  [ -n "$server" ] || return 0
  kill "$server" 2> /dev/null || true
  wait "$server" || true
  server=
}

mkfifo "$pipe" 2> /dev/null || true  # the other container may have made it
trap 'stop; exit 0' TERM INT
exec 3< "$pipe"
while read -r verb config <&3; do
  stop
  if [ "$verb" = start ]; then
    run "$config" "$@" &
    server=$!
  fi
done
stop
