# What the scripts of bookies, brokers, proxies and the put-back share.
trap 'exit 143' TERM  # as the first process of a container, bash would ignore it while it waits

# Prints a configuration file: the image's lines, overridden by the chart's, and both by variables PULSAR_PREFIX_<name>.
# Each setting is there once, because BookKeeper reads a repeated one as a list.
configuration() {
  { cat "/etc/pulsar/$1"; env | sed -n 's/^PULSAR_PREFIX_//p'; } | awk '
    { name = $0; sub(/ *=.*/, "", name) }
    NR == FNR { if (!(name in set)) names[++count] = name; set[name] = $0; next }
    !(name in set)
    END { for (each = 1; each <= count; each++) print set[names[each]] }
  ' - "/pulsar/conf/$1"
}

# Waits until one of `host:port,host:port…` accepts connections. To ask ZooKeeper itself would start a JVM each time.
wait_for() {
  local server
  until for server in $(tr , ' ' <<< "${2%%/*}" | tr -d '[]'); do
    timeout 5 bash -c "exec 3<> /dev/tcp/${server%:*}/${server##*:}" 2> /dev/null && break
  done; do
    echo "waiting for $1 at $2"
    sleep 3
  done
}
