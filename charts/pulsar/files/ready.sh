# ready.sh HOST PORT: succeeds if the member is part of a quorum, or if no quorum is possible until other pods are
# replaced (see ensemble.sh).
bash "$(dirname "$0")/probe.sh" "$1" "$2" srvr '^Mode: ' || [ -e "${TMPDIR:-/tmp}/no-quorum-possible" ]
