{{/* Configuration and scripts of the Jobs that initialise. */}}
{{- define "pulsar.initialize.data" -}}
{{- $servers := include "pulsar.zookeeper.connect" . -}}
bookkeeper.conf: |
  metadataServiceUri=metadata-store:zk:{{ $servers }}
wait.sh: |
  # Waits until the ensemble serves. Without a limit, because the ensemble may wait for its restore.
  servers={{ regexFind "^[^/]*" $servers | squote }}
  until for server in $(tr , ' ' <<< "$servers" | tr -d '[]'); do
    {{ if include "pulsar.zookeeper.tls" . -}}
    timeout 10 bash -c ': < "/dev/tcp/$0/$1"' "${server%:*}" "${server##*:}" 2> /dev/null && break  # a Service of members that serve
    {{- else -}}
    timeout 10 bash /etc/initialize/probe.sh "${server%:*}" "${server##*:}" srvr "^Mode: " 2> /dev/null && break
    {{- end }}
  done; do
    echo "waiting for ZooKeeper at $servers"
    sleep 5
  done
probe.sh: | {{- .Files.Get "files/probe.sh" | nindent 2 }}
bookie-init.sh: |
  # Does nothing if there is an instance, restored or not. initnewcluster would fail.
  set -eu
  source /etc/initialize/wait.sh
  bin/bookkeeper shell whatisinstanceid || bin/bookkeeper shell initnewcluster
init.sh: |
  # Creates what is missing, and adds the cluster to the tenants public and pulsar. It may run on a restored tree.
  set -eu
  source /etc/initialize/wait.sh
  until bin/bookkeeper shell whatisinstanceid; do
    echo "waiting for BookKeeper's metadata"
    sleep 5
  done
  exec bin/pulsar initialize-cluster-metadata \
    --cluster {{ include "pulsar.clusterName" . | include "pulsar.shell" }} \
    --metadata-store {{ printf "zk:%s" $servers | include "pulsar.shell" }} \
    --configuration-metadata-store {{ printf "zk:%s" $servers | include "pulsar.shell" }} \
    --web-service-url {{ include "pulsar.webServiceUrl" . | include "pulsar.shell" }} \
    --broker-service-url {{ include "pulsar.brokerServiceUrl" . | include "pulsar.shell" }}
{{- end }}

{{/* A text as one word of a shell. */}}
{{- define "pulsar.shell" -}}
'{{ replace "'" "'\\''" . }}'
{{- end }}
