{{/* The program's settings. */}}
{{- define "pulsar.backup.data" -}}
{{- $backup := .Values.zookeeper.customTools.backup -}}
BACKUP_INTERVAL: {{ include "pulsar.backup.interval" . | quote }}
BACKUP_PREFIX: {{ $backup.backupPrefix | quote }}
BUCKET: {{ $backup.bucket | quote }}
MANAGED_LEDGER_PATH: {{ $backup.managedLedgerPath | quote }}
SPOOL_DIR: /tmp
WEB_SERVER_PORT: {{ include "pulsar.backup.port" . | quote }}
ZOOKEEPER_SERVERS: {{ include "pulsar.zookeeper.connect" . | quote }}
{{- include "pulsar.configData" $backup.configData | nindent 0 }}
{{- end }}
