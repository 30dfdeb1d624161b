# ready.sh HOST PORT: part of a quorum, or no quorum is possible before other pods are replaced (see ensemble.sh).
bash "$(dirname "$0")/probe.sh" "$1" "$2" srvr '^Mode: ' || [ -e "${TMPDIR:-/tmp}/no-quorum-possible" ]
