# Keeps the list of the ensemble's members, and decides when a member may start with an empty volume.
#
# The list of members is state, not configuration. The ensemble agrees on it (ZooKeeper's dynamic reconfiguration), and
# each member keeps it beside its data, so that no changed value can make two majorities. The number in `replicas` is
# what the operator wants. New members first follow the leader, then the one with the highest number adds all of them at
# once. The leader removes members that are no longer wanted and do not run.
#
# A member is new until it has been part of a quorum: its volume is empty, or was just restored. A new member has no vote,
# because ZooKeeper finds no tree (zookeeper.db.autocreate=false, ZOOKEEPER-261): a restored one is kept from it, since a
# peer may send this member a list in which it would vote. So new members alone never form an ensemble beside one that is
# down. It starts only when ALL wanted members report that they are new in the same way. Each volume has an identity, and
# each member records with which identities it started: a member whose volume is lost later has another one.

here=$(dirname "${BASH_SOURCE[0]}")
data=${ZOOKEEPER_DATA:-/pulsar/data/zookeeper}
state=${TMPDIR:-/tmp}
pause=${ENSEMBLE_PAUSE:-5}
failures_needed=9  # failed checks in a row after which a member counts as not running, longer than a short network failure
outage=60  # checks without any member that serves, longer than any election
ordinal=${POD_NAME##*-}
id=$((ordinal + 1))
ensemble=$data/version-2/ensemble  # in version-2, so that it is lost or moved aside with the data that it belongs to
conf=$ensemble/zookeeper.conf
initial=$ensemble/initial-members
restored=$ensemble/restored  # a restored tree, until its member may vote

say() { echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) ensemble: $*"; }

# Logs a text, unless it is the last one that the calling function has logged.
declare -A said=()
say_once() {
  [ "${said[${FUNCNAME[1]}]:-}" = "$*" ] || say "$*"
  said[${FUNCNAME[1]}]=$*
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

# The file with the newest agreed list that this member has seen. Prints nothing if there is none. A file without members
# is what a power failure left.
agreed() {
  local version
  for version in $(find "$ensemble" -name "${conf##*/}.dynamic.*" 2> /dev/null | sed -nE 's/^.*\.dynamic\.([0-9a-f]+)$/\1/p' |
    awk '{ print length, $0 }' | sort -k1nr -k2r | cut -d ' ' -f 2); do
    if grep -q ':participant' "$conf.dynamic.$version"; then
      echo "$conf.dynamic.$version"
      return
    fi
  done
}

# The ids in a list.
voters() { sed -nE 's/^server\.([0-9]+)=.*:participant(;.*)?$/\1/p' "$1" | sort -n; }

# Writes ZooKeeper's configuration beside its data, with the agreed list. If there is none, with the initial members, or
# the wanted ones.
configure() {
  mkdir -p "$ensemble"
  echo "$id" > "$data/myid"
  identify
  hold_restored_tree
  remove_unset_epochs
  local list member role
  list=$(agreed)
  if [ -n "$list" ]; then
    # names and ports come from today's values, and only ids and roles are state
    sed -nE 's/^server\.([0-9]+)=.*:(participant|observer)(;.*)?$/\1 \2/p' "$list" | sort -n > "$state/members"
  else
    list=$conf.dynamic
    initial_ids | sed 's/$/ participant/' > "$state/members"
    has_vote || sed -i "s/^$id .*/$id observer/" "$state/members"
  fi
  # ZooKeeper does not start if its list lacks it. So a member that was removed comes back as an observer, without a vote.
  grep -q "^$id " "$state/members" || echo "$id observer" >> "$state/members"
  while read -r member role; do line "$member" "$role"; done < "$state/members" > "$list.new"
  replace "$list"
  { cat "$here/zookeeper.conf"; echo; echo "dynamicConfigFile=$list"; } > "$conf.new"
  replace "$conf"
}

# Replaces FILE by FILE.new. FILE is complete even after a power failure.
replace() {
  sync "$1.new" && mv "$1.new" "$1"
}

# --- new members

# How this member is new: `empty`, or the digest of its restore. Nothing if it has been part of a quorum. A list alone does
# not show that, because a member that looks for a leader gets a list before it has any data.
how_new() {
  [ -z "$(files 'log.*')" ] || return 0
  is_empty || [ -z "$(agreed)" ] || return 0
  if [ -e "$data/version-2/restore.json" ]; then
    sha256sum "$data/version-2/restore.json" | cut -d ' ' -f 1
  elif is_empty; then
    echo empty
  fi
}

is_empty() { [ -z "$(files 'snapshot.*')$(files 'log.*')" ]; }

files() { find "$data/version-2" -maxdepth 1 -name "$1" ! -name '*.tmp'; }

# Gives a new volume its identity. A single member starts an ensemble by itself. An operator may give an empty
# member a vote by the file `vote`.
identify() {
  if [ -n "$(how_new)" ]; then
    [ -s "$ensemble/identity" ] || od -An -N8 -tx8 /dev/urandom | tr -d ' ' > "$ensemble/identity"
    [ "$(< "$here/replicas")" != 1 ] || [ -s "$initial" ] || cp "$ensemble/identity" "$initial"
  fi
  if [ "$(how_new)" = empty ] && { [ -s "$initial" ] || [ -e "$ensemble/vote" ]; }; then : > "$data/initialize"; fi
  # a list that came from a peer is not that of the ensemble that this member starts
  if is_empty && [ -s "$initial" ]; then rm -f "$conf".dynamic.*; fi
}

# Keeps a restored tree from ZooKeeper, and puts it back when this member may vote.
hold_restored_tree() {
  if is_empty && [ -s "$initial" ] && [ -d "$restored" ]; then
    find "$restored" -type f -exec mv -t "$data/version-2" {} +
  elif [ ! -s "$initial" ] && ! is_empty && [ -n "$(how_new)" ]; then
    mkdir -p "$restored"
    find "$data/version-2" -maxdepth 1 -name 'snapshot.*' -exec mv -t "$restored" {} +
  elif [ -n "$(files 'log.*')" ]; then
    rm -rf "$restored"  # this member has taken the tree of others, and the backup is still in the bucket
  fi
}

# An empty member records epoch -1. With that, a server does not start on an empty tree of epoch 0.
remove_unset_epochs() {
  local epoch
  for epoch in "$data/version-2/currentEpoch" "$data/version-2/acceptedEpoch"; do
    [ ! -e "$epoch" ] || [ "$(< "$epoch")" != -1 ] || rm "$epoch"
  done
}

# The ids of the members that start the ensemble: as many as there are identities, or as are wanted.
initial_ids() { if [ -s "$initial" ]; then seq 1 "$(tr , '\n' < "$initial" | grep -c .)"; else wanted; fi; }

# A member that was new, and has taken a tree without being added yet, is an observer. Members of an earlier chart have
# no identity.
has_vote() { [ -s "$initial" ] || [ ! -s "$ensemble/identity" ] || is_empty; }

# What other members read from its AdminServer: how it is new and its identity, or the members that it started with.
new_options() {
  if [ ! -s "$initial" ]; then
    [ -z "$(how_new)" ] || echo "-Dmetadata-backup.new=$(how_new):$(< "$ensemble/identity")"
  elif [ -z "$(agreed)" ]; then
    echo "-Dmetadata-backup.initial-members=$(< "$initial")"
  fi
}

# The restore that its data is from, so that other restores recognise this member before it serves.
restore_options() {
  local marker=$data/version-2/restore.json
  # A member that joined has that data only after it has taken the tree. An empty server saves snapshot.0 before that,
  # with a suffix if it compresses snapshots (snapshot.compression.method).
  [ -e "$marker" ] || ! files 'snapshot.*' | grep -qvE '/snapshot\.0(\.gz|\.snappy)?$' || marker=$data/restore-joined.json
  [ -e "$marker" ] || return 0
  local digest point has_run
  digest=$(sha256sum "$marker")
  # And whether there are transactions since. Then this member has newer data than the backup.
  has_run=$([ -z "$(files 'log.*')" ] || echo -Dmetadata-backup.has-run=true)
  # Also the restore point, for a restore of `latest`. Left out if it has characters that need quoting.
  point=$(sed -n 's|^  "restorePoint": "\([A-Za-z0-9:/._=+@,-]*\)",$|-Dmetadata-backup.restore-point=\1|p' "$marker")
  echo "-Dmetadata-backup.restored=${digest%% *} $point $has_run"
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

# leader, follower or observer. Nothing if the member is not part of a quorum.
mode() { ask "$(host "$1")" "$(client_port "$1")" srvr | sed -n 's/^Mode: //p'; }

# The system properties that a member's AdminServer reports.
properties() { ask "$(host "$1")" "$(admin_port)" 'GET /commands/system_properties HTTP/1.0\r\n\r\n'; }

# One of this project's properties in such an answer: property NAME ANSWER.
property() { sed -nE 's/^.*"metadata-backup\.'"$1"'" *: *"([^"]*)".*$/\1/p' <<< "$2"; }

# --- the watch, beside ZooKeeper

watch_ensemble() {
  set +e  # a check that fails is repeated in the next round
  local mode too_few=0 none_serves=0 absent=0 skip=0
  rm -f "$state/served" "$state/no-quorum-possible" "$state/start-requested"
  while sleep "$pause"; do
    mode=$(mode "$id")
    if [ -n "$mode" ]; then
      [ -e "$state/served" ] || said=()
      : > "$state/served"
      rm -f "$state/no-quorum-possible"
      if [ "$skip" -gt 0 ]; then
        skip=$((skip - 1))
      else
        grow
        shrink "$mode"
      fi
    elif [ ! -e "$state/served" ]; then
      start_ensemble
      report_impossible_quorum
    fi
  done
}

# Starts the ensemble, with a vote: ZooKeeper is restarted when all wanted members are new in the same way, or when one
# has started with this one.
start_ensemble() {
  local own member answer answered missing='' identities=''
  own=$(how_new)
  [ -n "$own" ] && [ ! -s "$initial" ] && [ "$id" -le "$(< "$here/replicas")" ] || return 0
  for member in $(wanted); do
    answer=$(properties "$member")
    answered=$(property initial-members "$answer")
    if [[ ",$answered," == *",$(< "$ensemble/identity"),"* ]]; then
      identities=,$answered
      missing=''
      break
    fi
    answered=$(property new "$answer")
    if [ "${answered%%:*}" = "$own" ]; then
      identities+=,${answered#*:}
    else
      missing+="${missing:+, }$(host "$member") $([ -n "$answer" ] && echo "does not report that" || echo "cannot be reached")"
    fi
  done
  if [ -n "$missing" ]; then
    local state_of_volume='was just restored'
    [ "$own" != empty ] || state_of_volume='is empty'
    say_once "this member's volume $state_of_volume, so it has no vote. It waits for a leader, or until all $(< "$here/replicas") members report the same: $missing (docs/members.md)"
    return 0
  fi
  say "all members are new. A new ensemble of $(tr , '\n' <<< "${identities#,}" | wc -l) members starts"
  echo "${identities#,}" > "$initial.new" && replace "$initial" && [ -s "$initial" ] || return 0
  : > "$state/start-requested"
  kill "$(< "$state/server.pid")"
}

# Kubernetes replaces the next pod when a pod is ready. If too few members run for a quorum, or if none serves for a long
# time, each member must count as ready without a quorum. Otherwise, corrected values never reach the other pods.
report_impossible_quorum() {
  local member running=0 serving=0 needed list
  list=$(agreed)
  list=${list:-$conf.dynamic}
  needed=$(($(voters "$list" | wc -l) / 2 + 1))
  [ -z "$(how_new)" ] || [ -s "$initial" ] || needed=$(< "$here/replicas")
  for member in $(voters "$list") $(has_vote || echo "$id"); do
    ! runs "$member" || running=$((running + 1))
    [ -z "$(mode "$member")" ] || serving=$((serving + 1))
  done
  if ! names_resolve; then
    too_few=0 none_serves=0
    return 0
  fi
  if [ "$running" -lt "$needed" ]; then too_few=$((too_few + 1)); else too_few=0; fi
  if [ "$serving" -eq 0 ]; then none_serves=$((none_serves + 1)); else none_serves=0; fi
  if [ "$too_few" -lt "$failures_needed" ] && [ "$none_serves" -lt "$outage" ]; then
    rm -f "$state/no-quorum-possible"
  else
    say_once "a quorum needs $needed members, $running can be reached, and none serves. This pod counts as ready, so that Kubernetes can replace the other pods"
    : > "$state/no-quorum-possible"
  fi
}

# If DNS fails, this member knows nothing about the others. (A pod's own name is in its /etc/hosts.)
names_resolve() {
  local service
  service=$(host "$id")
  timeout 3 getent hosts "${service#*.}" > /dev/null
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
  if [ "$1" != leader ]; then
    absent=0
    return 0
  fi
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
  [ "$absent" -lt "$failures_needed" ] || reconfigure "$list" -remove "$(tr '\n' , <<< "$old" | sed 's/,$//')"
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
  skip=$failures_needed
  if grep -q 'Committed new configuration' <<< "$answer"; then
    said=()
    say "the ensemble has $(voters "$(agreed)" | wc -l) members now"
  elif grep -q 'NoAuth' <<< "$answer"; then
    say_once "could not change the members of the ensemble: ZooKeeper refused this member's password. Remove zookeeper.DigestAuthenticationProvider.superDigest from your options"
  else
    say_once "could not change the members of the ensemble, retrying: $(grep -v addauth <<< "$answer" | grep -E 'KeeperErrorCode|Exception|rror' | tail -n 1)"
  fi
}
