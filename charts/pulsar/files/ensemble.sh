# Which members the ensemble has, and when a member may begin with an empty volume.
#
# The list of members is state, not configuration. The ensemble agrees on it (ZooKeeper's dynamic reconfiguration), and
# each member keeps it beside its data, so that no changed value can make two majorities. The number in `replicas` is
# what the operator wants: new members first follow, then the last of them has all added at once; members that no longer
# run are removed by the leader.
#
# An empty member takes no part in elections (zookeeper.db.autocreate=false, ZOOKEEPER-261) until it has a leader's tree.
# So empty members alone never make an ensemble. A new ensemble begins where ALL members say that they are empty.

here=$(dirname "${BASH_SOURCE[0]}")
data=${ZOOKEEPER_DATA:-/pulsar/data/zookeeper}
state=${TMPDIR:-/tmp}
pause=${ENSEMBLE_PAUSE:-5}
patience=9  # looks in a row after which a member counts as not running: longer than any restart of a healthy one's network
ordinal=${POD_NAME##*-}
id=$((ordinal + 1))
conf=$data/version-2/ensemble/zookeeper.conf  # in version-2, so that it comes and goes with the data it speaks of

say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) ensemble: $*"; }

# Says something once, until this member is part of a quorum.
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

# The file with the list that the ensemble agreed on last, of those that this member has seen; nothing in a new one.
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
    # by today's names and ports; only ids and roles are state
    sed -nE 's/^server\.([0-9]+)=.*:(participant|observer)(;.*)?$/\1 \2/p' "$list" | sort -n > "$state/members"
  else
    list=$conf.dynamic
    wanted | sed 's/$/ participant/' > "$state/members"
  fi
  # ZooKeeper does not start outside of its own list: one that was removed comes back as an observer, without a vote.
  grep -q "^$id " "$state/members" || echo "$id observer" >> "$state/members"
  while read -r member role; do line "$member" "$role"; done < "$state/members" > "$list.new"
  mv "$list.new" "$list"
  { cat "$here/zookeeper.conf"; echo; echo "dynamicConfigFile=$list"; } > "$conf.new"
  mv "$conf.new" "$conf"
}

# --- what a server is started with

# The others ask its AdminServer which restore its data is from, so that they tell it from a stranger before it serves.
restore_options() {
  local marker=$data/version-2/restore.json
  # One that joined has it once it has taken the tree: an empty server saves snapshot.0 before it has met another.
  [ -e "$marker" ] || [ -z "$(find "$data" -path "$data/version-2/snapshot.*" ! -name snapshot.0)" ] || marker=$data/restore-joined.json
  [ -e "$marker" ] || return 0
  local digest point
  digest=$(sha256sum "$marker")
  # The point, too, for a restore of `latest`; not where its characters would need quoting.
  point=$(sed -n 's|^  "restorePoint": "\([A-Za-z0-9:/._=+@,-]*\)",$|-Dmetadata-backup.restore-point=\1|p' "$marker")
  echo "-Dmetadata-backup.restored=${digest%% *} $point"
}

is_empty() { [ -z "$(find "$data/version-2" -maxdepth 1 \( -name 'snapshot.*' -o -name 'log.*' \) -print -quit)" ]; }

# And whether it is empty, or begins an ensemble of so many. A sole member may begin at once, several when all are empty.
database_option() {
  is_empty || return 0
  [ "$(< "$here/replicas")" -gt 1 ] || : > "$data/initialize"
  if [ -e "$data/initialize" ]; then
    # An empty member notes epoch -1, with which the server would not start on an empty tree of epoch 0.
    grep -lx -e -1 "$data/version-2/currentEpoch" "$data/version-2/acceptedEpoch" 2> /dev/null | xargs -r rm
    echo "-Dmetadata-backup.database=new-$(< "$here/replicas")"
  else
    echo "-Dmetadata-backup.database=empty"
  fi
}

# Only a superuser may change the list. Each server has a password of its own, made at its start, which never leaves it.
superuser_option() {
  (umask 077; head -c 30 /dev/urandom | base64 > "$state/superuser")
  local digest
  digest=$(printf 'super:%s' "$(< "$state/superuser")" | sha1sum | cut -c 1-40 | sed 's/../\\x&/g')
  echo "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:$(printf '%b' "$digest" | base64)"
}

# --- asking members

# What a port answers: ask HOST PORT TEXT. It fails where nothing listens.
# shellcheck disable=SC2016  # the inner shell expands it
ask() { timeout 3 bash -c 'exec 3<> "/dev/tcp/$0/$1" && printf %b "$2" >&3 && cat <&3' "$@" 2> /dev/null; }

runs() { [ "$(ask "$(host "$1")" "$(client_port "$1")" ruok)" = imok ]; }

# leader, follower or observer; nothing where a member is not part of a quorum.
mode() { ask "$(host "$1")" "$(client_port "$1")" srvr | sed -n 's/^Mode: //p'; }

# Whether a member's volume is empty, or was when it began an ensemble of as many members as are wanted.
began_empty() {
  ask "$(host "$1")" "$(admin_port)" 'GET /commands/system_properties HTTP/1.0\r\n\r\n' |
    grep -Eq '"metadata-backup.database" *: *"(empty|new-'"$(< "$here/replicas")"')"'
}

# --- the watch, beside ZooKeeper

watch_ensemble() {
  set +e  # what fails is looked at again
  local mode lonely=0 absent=0
  rm -f "$state/served" "$state/no-quorum-possible" "$state/begins"
  while sleep "$pause"; do
    mode=$(mode "$id")
    if [ -n "$mode" ]; then
      : > "$state/served"
      said=()
      rm -f "$state/no-quorum-possible"
      grow "$mode"
      shrink "$mode"
    elif [ ! -e "$state/served" ]; then
      begin
      tell_whether_a_quorum_is_possible
    fi
  done
}

# A new ensemble: ZooKeeper is started a second time, with leave to begin empty.
begin() {
  local member
  is_empty && [ ! -e "$data/initialize" ] || return 0
  for member in $(wanted); do
    began_empty "$member" && continue
    say_once "this member's volume is empty. It waits for a leader, or until $(host "$member") says that it is empty, too: a new ensemble begins only where all $(< "$here/replicas") members are empty"
    return 0
  done
  say "all $(< "$here/replicas") members are empty: a new ensemble begins"
  : > "$data/initialize"
  : > "$state/begins"
  kill "$(< "$state/server.pid")"
}

# Ready counts as "the next pod may be replaced". Where too few members run for any quorum, each must be ready without
# one, else corrected values would never reach the pods that keep the quorum away.
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
    say_once "$running of the $needed members that a quorum needs run: this pod counts as ready, so that Kubernetes goes on to the others"
    : > "$state/no-quorum-possible"
  fi
}

# Where names cannot be resolved, nothing is known of the others. (A pod's own name is in its /etc/hosts.)
names_resolve() {
  local service
  service=$(host "$id")
  getent hosts "${service#*.}" > /dev/null
}

# Members are added by the last of those that are wanted: it has seen the newest number of them.
grow() {
  local list new member lines=
  [ "$(< "$here/replicas")" = "$id" ] || return 0
  list=$(agreed)
  [ -n "$list" ] || return 0
  new=$(comm -13 <(voters "$list" | sort) <(wanted | sort) | sort -n)
  for member in $new; do
    if [ -z "$(mode "$member")" ]; then
      say_once "waiting for $(host "$member") to follow, before the ensemble grows from $(voters "$list" | wc -l) to $(< "$here/replicas") members"
      return 0
    fi
    lines+=,$(line "$member" participant)
  done
  [ -z "$new" ] || reconfigure "$list" -add "${lines#,}"
}

# Members that are not wanted any more are removed by the leader, once they do not run.
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
  [ -n "$old" ] || return 0
  absent=$((absent + 1))
  [ "$absent" -lt "$patience" ] || reconfigure "$list" -remove "$(tr '\n' , <<< "$old" | sed 's/,$//')"
}

# Changes the list, unless it has changed since it was read: reconfigure LIST OPTION MEMBERS.
reconfigure() {
  local answer
  say "the ensemble's members change: $2 $3"
  answer=$(
    printf 'addauth digest super:%s\nreconfig -v %s %s %s\nquit\n' "$(< "$state/superuser")" "${1##*.}" "$2" "$3" |
      OPTS='' PULSAR_MEM=-Xmx64m PULSAR_GC=-XX:+UseSerialGC PULSAR_GC_LOG=' ' PULSAR_EXTRA_OPTS='' PULSAR_LOG_CONF='' \
        timeout 60 bin/pulsar zookeeper-shell -waitforconnection -server "$(host "$id"):$(client_port "$id")" 2>&1
  ) || true
  if grep -q 'Committed new configuration' <<< "$answer"; then
    say "the ensemble has $(voters "$(agreed)" | wc -l) members now"
  else
    say_once "the members could not be changed, the next try follows: $(grep -E 'KeeperErrorCode|Exception|rror' <<< "$answer" | tail -n 1)"
  fi
}
