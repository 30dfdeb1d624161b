{{/*
The part of zookeeper.conf that all members share. The list of members is not in it, because the ensemble agrees on that
list (files/ensemble.sh).
*/}}
{{- define "pulsar.zookeeper.conf" -}}
{{- $config := dict
  "tickTime" "2000"
  "initLimit" "30"
  "syncLimit" "10"
  "autopurge.snapRetainCount" "3"
  "autopurge.purgeInterval" "1"
-}}
{{- range $key, $value := .Values.zookeeper.config }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $config $key $value }}
{{- end }}
{{- end }}
{{- $_ := set $config "4lw.commands.whitelist" (include "pulsar.zookeeper.commands" .) }}
{{- range $key, $value := mergeOverwrite $config (include "pulsar.zookeeper.conf.own" . | fromJson) }}
{{ $key }}={{ include "pulsar.number" $value }}
{{- end }}
{{- end }}

{{/* Lines that zookeeper.config cannot change, as JSON. Probes, volumes, Services and the restore rely on them. */}}
{{- define "pulsar.zookeeper.conf.own" -}}
{{- $ports := .Values.zookeeper.ports -}}
{{- $logs := include "pulsar.zookeeper.logs.directory" . -}}
{{- merge (include "pulsar.zookeeper.tls.conf" . | fromJson) (empty $logs | ternary dict (dict "dataLogDir" $logs)) (dict
  "dataDir" "/pulsar/data/zookeeper"
  "clientPort" (toString $ports.client)
  "admin.serverPort" "9990"
  "quorumListenOnAllIPs" "true"
  "reconfigEnabled" "true"
  "standaloneEnabled" "false"
  "metricsProvider.className" "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
  "metricsProvider.httpPort" (toString $ports.http)
  ) | toJson -}}
{{- end }}

{{/*
Lines that are not in zookeeper.conf, because the chart relies on ZooKeeper's default or on a Java property, as JSON: the
value that zookeeper.config may repeat, and why it can be no other.
*/}}
{{- define "pulsar.zookeeper.conf.relied" -}}
{{- $admin := "because the members ask each other's AdminServers whether their volumes are empty, and which restore their data is from" -}}
{{- $superuser := "because each member changes the list of members with a superuser of its own" -}}
{{- dict
  "admin.enableServer" (list "true" $admin)
  "admin.serverAddress" (list "0.0.0.0" $admin)
  "admin.commandURL" (list "/commands" $admin)
  "admin.forceHttps" (list "false" $admin)
  "clientPortAddress" (list "0.0.0.0" "because the probes ask 127.0.0.1, and clients the address of the pod")
  "dataLogDir" (list (include "pulsar.zookeeper.logs.directory" . | default "/pulsar/data/zookeeper") "because the restore and the volumes rely on it (zookeeper.volumes.useSeparateDiskForTxlog gives the logs a volume)")
  "db.autocreate" (list "false" "because a member with an empty volume must not start an ensemble of its own")
  "dynamicConfigFile" (list "" "because the members keep the list of members themselves (docs/members.md)")
  "peerType" (list "participant" "because the members keep the list of members themselves (docs/members.md)")
  "leaderServes" (list "yes" "because the leader would not answer its readiness probe")
  "readonlymode.enabled" (list "false" "because a member without a quorum would count as one that serves")
  "metricsProvider.httpHost" (list "0.0.0.0" "because Prometheus scrapes the address of the pod")
  "DigestAuthenticationProvider.superDigest" (list "" $superuser)
  "DigestAuthenticationProvider.enabled" (list "true" $superuser)
  "DigestAuthenticationProvider.digestAlg" (list "sha1" $superuser)
  | toJson -}}
{{- end }}

{{/* The allowed four-letter commands: those of zookeeper.config, and those that the chart needs. */}}
{{- define "pulsar.zookeeper.commands" -}}
{{- $set := index (.Values.zookeeper.config | default dict) "4lw.commands.whitelist" -}}
{{- $commands := list "ruok" "srvr" "mntr" -}}
{{- if not (kindIs "invalid" $set) -}}
{{- $commands = list -}}
{{- range splitList "," (toString $set) -}}
{{- with trim . }}{{ $commands = append $commands . }}{{ end -}}
{{- end -}}
{{- if not (has "*" $commands) -}}
{{- $commands = concat $commands (list "ruok" "srvr") | uniq -}}
{{- end -}}
{{- end -}}
{{- join ", " $commands -}}
{{- end }}

{{/* The host name of a member. Call with (dict "root" $ "ordinal" number). */}}
{{- define "pulsar.zookeeper.member" -}}
{{ include "pulsar.zookeeper.fullname" .root }}-{{ .ordinal }}.{{ include "pulsar.zookeeper.headless" .root }}.{{ include "pulsar.namespace" .root }}.svc.{{ .root.Values.clusterDomain }}
{{- end }}

{{/* The addresses of all members, for clients. */}}
{{- define "pulsar.zookeeper.members" -}}
{{- range $ordinal := until (int .Values.zookeeper.replicaCount) }}
{{- if $ordinal }},{{ end }}
{{- include "pulsar.zookeeper.member" (dict "root" $ "ordinal" $ordinal) }}:{{ include "pulsar.zookeeper.clientPort" $ }}
{{- end }}
{{- end }}

{{/* A member's line in the list of members: files/ensemble.sh fills in {id}, {ordinal} and {role}. */}}
{{- define "pulsar.zookeeper.line" -}}
{{- $ports := .Values.zookeeper.ports -}}
server.{id}={{ include "pulsar.zookeeper.member" (dict "root" . "ordinal" "{ordinal}") }}:{{ $ports.follower }}:{{ $ports.leaderElection }}:{role};{{ if include "pulsar.zookeeper.tls" . }}127.0.0.1:{{ end }}{{ $ports.client }}
{{- end }}

{{/*
Files that are mounted into the pods. A change of them restarts the pods, so what only some releases use is appended for
them alone.
*/}}
{{- define "pulsar.zookeeper.files" -}}
zookeeper.conf: | {{- include "pulsar.zookeeper.conf" . | nindent 2 }}
member: | {{- include "pulsar.zookeeper.line" . | nindent 2 }}
{{- range list "start.sh" "ensemble.sh" "probe.sh" "ready.sh" }}
{{ . }}: | {{- $.Files.Get (printf "files/%s" .) | nindent 2 }}
{{- if and (eq . "ensemble.sh") (include "pulsar.zookeeper.logs.directory" $) }}
{{- $.Files.Get "files/log_volume.sh" | nindent 2 }}
{{- end }}
{{- if and (eq . "ensemble.sh") (include "pulsar.zookeeper.tls" $) }}
{{- $.Files.Get "files/tls.sh" | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
