# Waits for `kubectl exec`.
trap 'exit 0' TERM
sleep infinity &
wait
