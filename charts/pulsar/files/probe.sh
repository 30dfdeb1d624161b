# probe.sh HOST PORT COMMAND PATTERN: succeeds if ZooKeeper's answer to a four-letter command matches the pattern.
exec 3<> "/dev/tcp/$1/$2" || exit 1
printf %s "$3" >&3
timeout 10 cat <&3 | grep -q "$4"
