# Which members the ensemble has, and when a member may begin with an empty volume.
#
# The list of members is state, not configuration. The ensemble agrees on it (ZooKeeper's dynamic reconfiguration), and
# each member keeps it beside its data, so that no changed value can make two majorities. The number in `replicas` is
# what the operator wants. New members first follow the leader, then the one with the highest number adds all of them at
# once. The leader removes members that are no longer wanted and do not run.
#
# An empty member takes no part in elections (zookeeper.db.autocreate=false, ZOOKEEPER-261) until it has a leader's tree.
# So empty members alone never form an ensemble. A new ensemble starts only when ALL members report that they are empty.

here=$(dirname "${BASH_SOURCE[0]}")
data=${ZOOKEEPER_DATA:-/pulsar/data/zookeeper}
state=${TMPDIR:-/tmp}
pause=${ENSEMBLE_PAUSE:-5}
patience=9  # failed checks in a row after which a member counts as not running: longer than a short network failure
ordinal=${POD_NAME##*-}
id=$((ordinal + 1))
conf=$data/version-2/ensemble/zookeeper.conf  # in version-2, so that it is lost or moved aside with the data that it belongs to

say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) ensemble: $*"; }

# Logs a text once. When this member becomes part of a quorum, the text may be logged again.
declare -A said=()
say_once() {
  [ -n "${said[$*]:-}" ] || say "$*"
  said[$*]=yes
}

# --- the list of members

# A member's line: line ID ROLE.
line() {
  local text
  text=$(< "$here/member")
  text=${text//\{id\}/$1}
  text=${text//\{ordinal\}/$(($1 - 1))}
  echo "${text//\{role\}/$2}"
}

# The parts of a member's address: host ID, client_port ID.
host() { line "$1" participant | sed -E 's/^[^=]*=([^:]*):.*/\1/'; }
client_port() { line "$1" participant | sed -E 's/.*[;:]([0-9]+)$/\1/'; }
admin_port() { sed -n 's/^admin\.serverPort=//p' "$here/zookeeper.conf"; }

wanted() { seq 1 "$(< "$here/replicas")"; }

# The file with the newest agreed list that this member has seen. Prints nothing in a new ensemble.
agreed() {
  find "$(dirname "$conf")" -name "${conf##*/}.dynamic.*" 2> /dev/null | sed -nE 's/^.*\.dynamic\.([0-9a-f]+)$/\1/p' |
    awk '{ print length, $0 }' | sort -k1n -k2 | tail -n 1 | sed "s|^.* |$conf.dynamic.|"
}

# The ids in a list.
voters() { sed -nE 's/^server\.([0-9]+)=.*:participant(;.*)?$/\1/p' "$1" | sort -n; }

# Writes ZooKeeper's configuration beside its data, with the agreed list, or the wanted one in a new ensemble.
configure() {
  mkdir -p "$(dirname "$conf")"
  echo "$id" > "$data/myid"
  local list member role
  list=$(agreed)
  if [ -n "$list" ]; then
    # names and ports come from today's values; only ids and roles are state
    sed -nE 's/^server\.([0-9]+)=.*:(participant|observer)(;.*)?$/\1 \2/p' "$list" | sort -n > "$state/members"
  else
    list=$conf.dynamic
    wanted | sed 's/$/ participant/' > "$state/members"
  fi
  # ZooKeeper does not start if its list lacks it. So a member that was removed comes back as an observer, without a vote.
  grep -q "^$id " "$state/members" || echo "$id observer" >> "$state/members"
  while read -r member role; do line "$member" "$role"; done < "$state/members" > "$list.new"
  mv "$list.new" "$list"
  { cat "$here/zookeeper.conf"; echo; echo "dynamicConfigFile=$list"; } > "$conf.new"
  mv "$conf.new" "$conf"
}

# --- what a server is started with

# The others ask its AdminServer which restore its data is from, so that they recognise it before it serves.
restore_options() {
  local marker=$data/version-2/restore.json
  # A member that joined has that data only after it has taken the tree. An empty server saves snapshot.0 before that.
  [ -e "$marker" ] || [ -z "$(find "$data" -path "$data/version-2/snapshot.*" ! -name snapshot.0)" ] || marker=$data/restore-joined.json
  [ -e "$marker" ] || return 0
  local digest point has_run
  digest=$(sha256sum "$marker")
  # And whether it has transactions since: then a member that restores finds newer data here than in the backup.
  has_run=$(find "$data/version-2" -maxdepth 1 -name 'log.*' -printf '-Dmetadata-backup.has-run=true' -quit)
  # Also the restore point, for a restore of `latest`. Left out if it has characters that need quoting.
  point=$(sed -n 's|^  "restorePoint": "\([A-Za-z0-9:/._=+@,-]*\)",$|-Dmetadata-backup.restore-point=\1|p' "$marker")
  echo "-Dmetadata-backup.restored=${digest%% *} $point $has_run"
}

is_empty() { [ -z "$(find "$data/version-2" -maxdepth 1 \( -name 'snapshot.*' -o -name 'log.*' \) -print -quit)" ]; }

# Whether it is empty, or starts a new ensemble, and of how many members. A single member may start one at once, several
# only when all are empty.
database_option() {
  is_empty || return 0
  [ "$(< "$here/replicas")" -gt 1 ] || : > "$data/initialize"
  if [ -e "$data/initialize" ]; then
    # An empty member records epoch -1. With that, the server would not start on an empty tree of epoch 0.
    grep -lx -e -1 "$data/version-2/currentEpoch" "$data/version-2/acceptedEpoch" 2> /dev/null | xargs -r rm
    echo "-Dmetadata-backup.database=new-$(< "$here/replicas")"
  else
    echo "-Dmetadata-backup.database=empty"
  fi
}

# Only a superuser may change the list. Each server generates its own password when it starts. It never leaves the pod.
superuser_option() {
  (umask 077; head -c 30 /dev/urandom | base64 > "$state/superuser")
  local digest
  digest=$(printf 'super:%s' "$(< "$state/superuser")" | sha1sum | cut -c 1-40 | sed 's/../\\x&/g')
  echo "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:$(printf '%b' "$digest" | base64)"
}

# --- asking members

# What a port answers: ask HOST PORT TEXT. Fails if nothing listens there.
# shellcheck disable=SC2016  # the inner shell expands it
ask() { timeout 3 bash -c 'exec 3<> "/dev/tcp/$0/$1" && printf %b "$2" >&3 && cat <&3' "$@" 2> /dev/null; }

runs() { [ "$(ask "$(host "$1")" "$(client_port "$1")" ruok)" = imok ]; }

# leader, follower or observer; nothing if the member is not part of a quorum.
mode() { ask "$(host "$1")" "$(client_port "$1")" srvr | sed -n 's/^Mode: //p'; }

# Whether a member's volume is empty, or was empty when it started a new ensemble of the wanted number of members.
began_empty() {
  ask "$(host "$1")" "$(admin_port)" 'GET /commands/system_properties HTTP/1.0\r\n\r\n' |
    grep -Eq '"metadata-backup.database" *: *"(empty|new-'"$(< "$here/replicas")"')"'
}

# --- the watch, beside ZooKeeper

watch_ensemble() {
  set +e  # a check that fails is repeated in the next round
  local mode lonely=0 absent=0 rest=0
  rm -f "$state/served" "$state/no-quorum-possible" "$state/begins"
  while sleep "$pause"; do
    mode=$(mode "$id")
    if [ -n "$mode" ]; then
      [ -e "$state/served" ] || said=()
      : > "$state/served"
      rm -f "$state/no-quorum-possible"
      if [ "$rest" -gt 0 ]; then
        rest=$((rest - 1))
      else
        grow
        shrink "$mode"
      fi
    elif [ ! -e "$state/served" ]; then
      begin
      tell_whether_a_quorum_is_possible
    fi
  done
}

# Starts a new ensemble: ZooKeeper is restarted, and may now serve an empty tree.
begin() {
  local member
  is_empty && [ ! -e "$data/initialize" ] || return 0
  for member in $(wanted); do
    began_empty "$member" && continue
    say_once "this member's volume is empty. It waits for a leader, or until $(host "$member") reports an empty volume, too. A new ensemble starts only when the volumes of all $(< "$here/replicas") members are empty (docs/members.md)"
    return 0
  done
  say "the volumes of all $(< "$here/replicas") members are empty. A new ensemble starts"
  : > "$data/initialize"
  : > "$state/begins"
  kill "$(< "$state/server.pid")"
}

# To Kubernetes, a ready pod means that the next pod may be replaced. If too few members run for a quorum, each must count
# as ready without one. Otherwise, corrected values would never reach the pods that do not come up.
tell_whether_a_quorum_is_possible() {
  local member running=0 needed list
  list=$(agreed)
  if is_empty; then needed=$(< "$here/replicas"); else needed=$(($(voters "${list:-$conf.dynamic}" | wc -l) / 2 + 1)); fi
  for member in $(voters "${list:-$conf.dynamic}"); do
    ! runs "$member" || running=$((running + 1))
  done
  if [ "$running" -lt "$needed" ] && names_resolve; then lonely=$((lonely + 1)); else lonely=0; fi
  if [ "$lonely" -lt "$patience" ]; then
    rm -f "$state/no-quorum-possible"
  else
    say_once "a quorum needs $needed members, but only $running can be reached. This pod counts as ready, so that Kubernetes can replace the other pods"
    : > "$state/no-quorum-possible"
  fi
}

# If names cannot be resolved, this member knows nothing about the others. (A pod's own name is in its /etc/hosts.)
names_resolve() {
  local service
  service=$(host "$id")
  getent hosts "${service#*.}" > /dev/null
}

# The wanted member with the highest number adds the new members, because it has the newest value of `replicas`.
grow() {
  local list new member lines=
  [ "$(< "$here/replicas")" = "$id" ] || return 0
  list=$(agreed)
  [ -n "$list" ] || return 0
  new=$(comm -13 <(voters "$list" | sort) <(wanted | sort) | sort -n)
  for member in $new; do
    if [ -z "$(mode "$member")" ]; then
      say_once "waiting for $(host "$member") to follow the leader. Then the ensemble grows from $(voters "$list" | wc -l) to $(< "$here/replicas") members"
      return 0
    fi
    lines+=,$(line "$member" participant)
  done
  [ -z "$new" ] || reconfigure "$list" -add "${lines#,}"
}

# The leader removes members that are no longer wanted, after they have stopped.
shrink() {
  local list old member
  [ "$1" = leader ] || return 0
  list=$(agreed)
  [ -n "$list" ] || return 0
  old=$(comm -23 <(voters "$list" | sort) <(wanted | sort) | sort -n)
  for member in $old; do
    if runs "$member"; then
      absent=0
      return 0
    fi
  done
  if [ -z "$old" ]; then
    absent=0
    return 0
  fi
  absent=$((absent + 1))
  [ "$absent" -lt "$patience" ] || reconfigure "$list" -remove "$(tr '\n' , <<< "$old" | sed 's/,$//')"
}

# Changes the list, unless it has changed since it was read: reconfigure LIST OPTION MEMBERS.
reconfigure() {
  local answer
  say_once "changing the members of the ensemble: $2 $3"
  answer=$(
    printf 'addauth digest super:%s\nreconfig -v %s %s %s\nquit\n' "$(< "$state/superuser")" "${1##*.}" "$2" "$3" |
      OPTS='' PULSAR_MEM=-Xmx64m PULSAR_GC=-XX:+UseSerialGC PULSAR_GC_LOG=' ' PULSAR_EXTRA_OPTS='' PULSAR_LOG_CONF='' \
        timeout 60 bin/pulsar zookeeper-shell -waitforconnection -server "$(host "$id"):$(client_port "$id")" 2>&1
  ) || true
  rest=$patience
  if grep -q 'Committed new configuration' <<< "$answer"; then
    said=()
    say "the ensemble has $(voters "$(agreed)" | wc -l) members now"
  elif grep -q 'NoAuth' <<< "$answer"; then
    say_once "could not change the members of the ensemble: ZooKeeper refused this member's password. Remove zookeeper.DigestAuthenticationProvider.superDigest from your options"
  else
    say_once "could not change the members of the ensemble, retrying: $(grep -v addauth <<< "$answer" | grep -E 'KeeperErrorCode|Exception|rror' | tail -n 1)"
  fi
}
