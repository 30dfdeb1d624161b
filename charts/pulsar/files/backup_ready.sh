# backup_ready.sh PORT: succeeds while GET /readyz answers 200. Otherwise it prints the error, and the pod's events show it.
exec 3<> "/dev/tcp/127.0.0.1/$1" || exit 1
printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
read -r -t 4 _ status _ <&3 2> /dev/null || { echo "the admin port $1 does not answer"; exit 1; }
[ "$status" = 200 ] && exit 0
while IFS= read -r -t 4 line <&3 || [ -n "$line" ]; do body=$line; done 2> /dev/null  # a reset connection ends it, too
body=${body#*\"error\":\"}  # the last line, {"error":"…"}
body=${body%\"*}
printf '%s\n' "${body//\\\"/\"}"
exit 1
