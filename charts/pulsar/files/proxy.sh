# Starts a proxy.
set -euo pipefail
source "$(dirname "$0")/workload.sh"

configuration proxy.conf > /tmp/proxy.conf
echo OK > /pulsar/logs/status
export PULSAR_PROXY_CONF=/tmp/proxy.conf
exec bin/pulsar proxy
