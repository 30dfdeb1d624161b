{{/* The brokers' part of what "pulsar.workload" makes. */}}

{{/* Lines of broker.conf: addresses, and quorums for the number of bookies. */}}
{{- define "pulsar.broker.settings" -}}
{{- $store := printf "zk:%s" (include "pulsar.zookeeper.connect" .) -}}
{{- $settings := dict
  "clusterName" (include "pulsar.clusterName" .)
  "metadataStoreUrl" $store
  "configurationMetadataStoreUrl" $store
  "brokerServicePort" (toString .Values.broker.ports.pulsar)
  "webServicePort" (toString .Values.broker.ports.http)
  "statusFilePath" "/pulsar/logs/status"
-}}
{{- with .Values.broker.ports.pulsarssl }}{{ $_ := set $settings "brokerServicePortTls" (toString .) }}{{ end }}
{{- with .Values.broker.ports.https }}{{ $_ := set $settings "webServicePortTls" (toString .) }}{{ end }}
{{- if and .Values.components.bookkeeper (eq (int .Values.bookkeeper.replicaCount) 1) }}
{{- range list "EnsembleSize" "WriteQuorum" "AckQuorum" }}
{{- $_ := set $settings (printf "managedLedgerDefault%s" .) "1" }}
{{- end }}
{{- end }}
{{- merge $settings (include "pulsar.offload.settings" . | fromJson) | toJson }}
{{- end }}

{{/* What broker.sh waits for, and the keys of tiered storage. */}}
{{- define "pulsar.broker.env" -}}
- {name: CLUSTER_NAME, value: {{ include "pulsar.clusterName" . | quote }}}
{{- if .Values.components.bookkeeper }}
- {name: BOOKIES, value: {{ printf "%s:%d" (include "pulsar.workload.fullname" (dict "root" . "key" "bookkeeper")) (int .Values.bookkeeper.ports.bookie) | quote }}}
{{- end }}
{{- include "pulsar.offload.env" . }}
{{- end }}

{{- define "pulsar.broker.account" -}}
{{- with .Values.broker.serviceAccount -}}
{{- if .create -}}
{{- .name | default (include "pulsar.workload.fullname" (dict "root" $ "key" "broker")) -}}
{{- else -}}
{{- .name -}}
{{- end -}}
{{- end -}}
{{- end }}
