{{/* The environment of the backup. */}}
{{- define "pulsar.backup.data" -}}
{{- $backup := .Values.zookeeper.customTools.backup -}}
BACKUP_INTERVAL: {{ include "pulsar.backup.interval" . | quote }}
BACKUP_PREFIX: {{ $backup.backupPrefix | quote }}
BUCKET: {{ $backup.bucket | quote }}
MANAGED_LEDGER_PATH: {{ $backup.managedLedgerPath | quote }}
SPOOL_DIR: /tmp
JUTE_MAXBUFFER: {{ include "pulsar.zookeeper.juteMaxBuffer" . | quote }}
VERIFY: {{ $backup.verify | quote }}
{{- include "pulsar.tieredStorage.moved" . }}
WEB_SERVER_PORT: {{ include "pulsar.backup.port" . | quote }}
ZOOKEEPER_SERVERS: {{ printf "%s%s" (include "pulsar.zookeeper.connect" .) ($backup.chroot | default "") | quote }}
{{- include "pulsar.zookeeper.client.data" . }}
{{- with $backup.tls }}
{{- if .enabled }}
ZOOKEEPER_TLS: "true"
ZOOKEEPER_TLS_CA: /etc/zookeeper-tls/ca.crt
{{- if .clientCertificate }}
ZOOKEEPER_TLS_CERT: /etc/zookeeper-tls/tls.crt
ZOOKEEPER_TLS_KEY: /etc/zookeeper-tls/tls.key
{{- end }}
ZOOKEEPER_TLS_CHECK_HOSTNAME: {{ .checkHostname | quote }}
{{- end }}
{{- end }}
{{- with include "pulsar.backup.adminToken.file" . }}
ADMIN_TOKEN_FILE: {{ . }}
{{- end }}
{{- with include "pulsar.copies" . }}
BACKUP_COPIES: {{ . | quote }}
{{- end }}
{{- with $backup.retention }}
RETENTION: {{ . | quote }}
{{- end }}
{{- with $backup.scrub }}
{{- $interval := kindIs "invalid" .interval | ternary "" (include "pulsar.number" .interval) }}
{{- if $interval }}
SCRUB_INTERVAL: {{ $interval | quote }}
{{- end }}
SCRUB_LIST_ONLY: {{ .listOnly | quote }}
{{- if kindIs "invalid" (index ($backup.configData | default dict) "SCRUB_REQUESTS") }}
SCRUB_REQUESTS: {{ include "pulsar.number" .requests | quote }}
{{- end }}
{{- end }}
{{- if $backup.broker.enabled }}
{{- include "pulsar.brokers.data" (dict "root" . "login" $backup.broker) }}
BROKER_TIMEOUT: {{ include "pulsar.number" $backup.broker.timeout | quote }}
{{- end }}
{{- include "pulsar.tieredStorage.data" (dict "root" . "tool" "backup") }}
{{- include "pulsar.tool.data" (dict "root" . "tool" "backup") | nindent 0 }}
{{- end }}
