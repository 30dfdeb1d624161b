{{/*
The part of zookeeper.conf that all members share. zookeeper.config adds to it and overrides it. The list of members is
not in it, because the ensemble agrees on that list (files/ensemble.sh).
*/}}
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
  "reconfigEnabled" "true"
  "standaloneEnabled" "false"
  "metricsProvider.className" "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
  "metricsProvider.httpPort" $zookeeper.ports.http
-}}
{{- range $key, $value := merge (deepCopy (default dict $zookeeper.config)) $config }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }}={{ include "pulsar.number" $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* The host name of a member. Call with (dict "root" $ "ordinal" number). */}}
{{- define "pulsar.zookeeper.member" -}}
{{ include "pulsar.zookeeper.fullname" .root }}-{{ .ordinal }}.{{ include "pulsar.zookeeper.headless" .root }}.{{ include "pulsar.namespace" .root }}.svc.{{ .root.Values.clusterDomain }}
{{- end }}

{{/* The addresses of all members, for clients. */}}
{{- define "pulsar.zookeeper.members" -}}
{{- range $ordinal := until (int .Values.zookeeper.replicaCount) }}
{{- if $ordinal }},{{ end }}
{{- include "pulsar.zookeeper.member" (dict "root" $ "ordinal" $ordinal) }}:{{ $.Values.zookeeper.ports.client }}
{{- end }}
{{- end }}

{{/* A member's line in the list of members: files/ensemble.sh fills in {id}, {ordinal} and {role}. */}}
{{- define "pulsar.zookeeper.line" -}}
{{- $ports := .Values.zookeeper.ports -}}
server.{id}={{ include "pulsar.zookeeper.member" (dict "root" . "ordinal" "{ordinal}") }}:{{ $ports.follower }}:{{ $ports.leaderElection }}:{role};{{ $ports.client }}
{{- end }}

{{/* Files that are mounted into the pods. A change of them restarts the pods. */}}
{{- define "pulsar.zookeeper.files" -}}
zookeeper.conf: | {{- include "pulsar.zookeeper.conf" . | nindent 2 }}
member: | {{- include "pulsar.zookeeper.line" . | nindent 2 }}
{{- range list "start.sh" "ensemble.sh" "probe.sh" "ready.sh" }}
{{ . }}: | {{- $.Files.Get (printf "files/%s" .) | nindent 2 }}
{{- end }}
{{- end }}
