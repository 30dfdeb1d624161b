{{/* zookeeper.conf: what all members share. zookeeper.config adds to it and overrides it. */}}
{{- define "pulsar.zookeeper.conf" -}}
{{- $zookeeper := .Values.zookeeper -}}
{{- $config := dict
  "tickTime" "2000"
  "initLimit" "30"
  "syncLimit" "10"
  "dataDir" "/pulsar/data/zookeeper"
  "clientPort" $zookeeper.ports.client
  "admin.serverPort" "9990"
  "autopurge.snapRetainCount" "3"
  "autopurge.purgeInterval" "1"
  "4lw.commands.whitelist" "ruok, srvr, mntr"
  "quorumListenOnAllIPs" "true"
  "standaloneEnabled" "false"
  "metricsProvider.className" "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
  "metricsProvider.httpPort" $zookeeper.ports.http
-}}
{{- range $key, $value := merge (deepCopy (default dict $zookeeper.config)) $config }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }}={{ include "pulsar.number" $value }}
{{- end }}
{{- end }}
{{- range $ordinal := until (int $zookeeper.replicaCount) }}
server.{{ add 1 $ordinal }}={{ include "pulsar.zookeeper.member" (dict "root" $ "ordinal" $ordinal) }}:{{ $zookeeper.ports.follower }}:{{ $zookeeper.ports.leaderElection }}
{{- end }}
{{- end }}

{{/* A member's name. Call with (dict "root" $ "ordinal" number). */}}
{{- define "pulsar.zookeeper.member" -}}
{{ include "pulsar.zookeeper.fullname" .root }}-{{ .ordinal }}.{{ include "pulsar.zookeeper.headless" .root }}.{{ include "pulsar.namespace" .root }}.svc.{{ .root.Values.clusterDomain }}
{{- end }}

{{/* All members, for clients. */}}
{{- define "pulsar.zookeeper.members" -}}
{{- range $ordinal := until (int .Values.zookeeper.replicaCount) }}
{{- if $ordinal }},{{ end }}
{{- include "pulsar.zookeeper.member" (dict "root" $ "ordinal" $ordinal) }}:{{ $.Values.zookeeper.ports.client }}
{{- end }}
{{- end }}

{{/* What is mounted into the pods. */}}
{{- define "pulsar.zookeeper.files" -}}
zookeeper.conf: | {{- include "pulsar.zookeeper.conf" . | nindent 2 }}
start.sh: | {{- .Files.Get "files/start.sh" | nindent 2 }}
probe.sh: | {{- .Files.Get "files/probe.sh" | nindent 2 }}
{{- end }}
