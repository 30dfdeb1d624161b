{{/* The bookies' part of what "pulsar.workload" makes. */}}

{{/* Lines of bookkeeper.conf that the chart and its scripts rely on. */}}
{{- define "pulsar.bookkeeper.settings" -}}
{{- dict
  "metadataServiceUri" (printf "metadata-store:zk:%s" (include "pulsar.zookeeper.connect" .))
  "bookiePort" (toString .Values.bookkeeper.ports.bookie)
  "useHostNameAsBookieID" "true"
  "journalDirectory" "/pulsar/data/bookkeeper/journal"
  "ledgerDirectories" "/pulsar/data/bookkeeper/ledgers"
  "httpServerEnabled" "true"
  "httpServerPort" (toString .Values.bookkeeper.ports.http)
  "prometheusStatsHttpPort" (toString .Values.bookkeeper.ports.http)
  | toJson }}
{{- end }}

{{/*
Lines of bookkeeper.conf that hold garbage collection, as JSON: after a restore, bookies would delete each ledger that
was created after the backup. Ten years, because the longest wait would overflow. Compaction is off, because its
intervals may not be shorter.
*/}}
{{- define "pulsar.bookkeeper.hold" -}}
{{- $restore := .Values.zookeeper.customTools.restore -}}
{{- if and (eq $restore.scope "bookies-kept") (not $restore.collectGarbage) -}}
{"gcWaitTime": "315360000000", "minorCompactionInterval": "-1", "majorCompactionInterval": "-1", "entryLocationCompactionInterval": "-1", "isForceGCAllowWhenNoSpace": "false"}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{- define "pulsar.bookkeeper.container" -}}
ports:
  - {name: bookie, containerPort: {{ .Values.bookkeeper.ports.bookie }}}
  - {name: http, containerPort: {{ .Values.bookkeeper.ports.http }}}
{{- with .Values.bookkeeper.probe }}
startupProbe: {{- include "pulsar.workload.probe" (dict "path" "/api/v1/bookie/is_ready" "values" .startup) | nindent 2 }}
livenessProbe: {{- include "pulsar.workload.probe" (dict "path" "/api/v1/bookie/state" "values" .liveness) | nindent 2 }}
readinessProbe: {{- include "pulsar.workload.probe" (dict "path" "/api/v1/bookie/is_ready" "values" .readiness) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "pulsar.bookkeeper.mounts" -}}
- {name: journal, mountPath: /pulsar/data/bookkeeper/journal}
- {name: ledgers, mountPath: /pulsar/data/bookkeeper/ledgers}
{{- end }}

{{- define "pulsar.bookkeeper.volumes" -}}
{{- if not .Values.bookkeeper.volumes.persistence }}
- {name: journal, emptyDir: {}}
- {name: ledgers, emptyDir: {}}
{{- end }}
{{- end }}

{{- define "pulsar.bookkeeper.claims" -}}
{{- if .Values.bookkeeper.volumes.persistence }}
{{- range $name := list "journal" "ledgers" }}
{{ include "pulsar.volumes.claim" (dict "root" $ "key" "bookkeeper" "name" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.bookkeeper.retention" -}}
{{- with .Values.bookkeeper.volumes.retentionPolicy }}
persistentVolumeClaimRetentionPolicy: {{- merge (dict) . (dict "whenDeleted" "Retain" "whenScaled" "Retain") | toYaml | nindent 2 }}
{{- end }}
{{- end }}
