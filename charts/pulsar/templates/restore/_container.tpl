{{/*
The init container of each ZooKeeper pod. It runs as ZooKeeper's user, because ZooKeeper must be able to write the
restored files.
*/}}
{{- define "pulsar.restore.container" -}}
{{- $restore := .Values.zookeeper.customTools.restore -}}
- name: {{ $restore.component }}
  {{- include "pulsar.tool.image" (dict "root" . "tool" "restore") | nindent 2 }}
  args: [restore]
  {{- $env := list (include "pulsar.tieredStorage.env" . | trim) (include "pulsar.encryption.reader.env" $restore.encryption | trim) }}
  {{- if eq "true" (include "pulsar.encryption.restoreWrites" .) }}
  {{- $env = append $env (include "pulsar.encryption.writer.env" . | trim) }}
  {{- end }}
  {{- include "pulsar.tool.environment" (dict "root" . "tool" "restore" "more" (join "\n" (compact $env))) | nindent 2 }}
  resources: {{- toYaml $restore.resources | nindent 4 }}
  securityContext: {{- include "pulsar.containerSecurity" . | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError  # so that `kubectl describe pod` says why, too
  volumeMounts:
    - {name: data, mountPath: /pulsar/data/zookeeper}
    {{- with include "pulsar.zookeeper.logs.mount" . }}
    {{- . | nindent 4 }}
    {{- end }}
    - {name: spool, mountPath: /tmp}
    {{- with include "pulsar.zookeeper.client.mount" . }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- include "pulsar.tool.mounts" (dict "root" . "tool" "restore") | nindent 4 }}
    {{- include "pulsar.copies.restored.mount" . | nindent 4 }}
    {{- include "pulsar.tieredStorage.mounts" . | nindent 4 }}
    {{- include "pulsar.encryption.reader.mounts" $restore.encryption | nindent 4 }}
    {{- if eq "true" (include "pulsar.encryption.restoreWrites" .) }}
    {{- include "pulsar.encryption.writer.mounts" . | nindent 4 }}
    {{- end }}
    {{- with $restore.extraVolumeMounts }}
    {{- include "pulsar.yaml" . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Labels of the StatefulSet, so that `kubectl get statefulsets -L restore-version` shows a restore. */}}
{{- define "pulsar.restore.labels" -}}
{{- $restore := .Values.zookeeper.customTools.restore -}}
{{- if $restore.enable }}
{{- with include "pulsar.number" $restore.restoreVersion | regexFind "^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$" }}
restore-version: {{ . | quote }}
{{- end }}
restore-scope: {{ $restore.scope }}
{{- end }}
{{- end }}

{{/* The buckets of tiered storage that have moved, as a line of the environment. Empty if there are none. */}}
{{- define "pulsar.tieredStorage.moved" -}}
{{- $pairs := list -}}
{{- range $old, $new := (.Values.zookeeper.customTools.restore.tieredStorage | default dict).buckets }}
{{- if $new }}
{{- $pairs = append $pairs (printf "%s=%s" $old $new) }}
{{- end }}
{{- end }}
{{- with $pairs }}
TIERED_STORAGE_BUCKETS: {{ join "," . | quote }}
{{- end }}
{{- end }}

{{/* The environment of the restore. */}}
{{- define "pulsar.restore.data" -}}
{{- $restore := .Values.zookeeper.customTools.restore -}}
{{- $backup := .Values.zookeeper.customTools.backup -}}
{{- $metadata := .Values.pulsar_metadata -}}
ALLOW_OLDER: {{ $restore.allowOlder | default false | quote }}
ALLOW_PARTIAL: {{ $restore.allowPartial | default false | quote }}
BACKUP_PREFIX: {{ $backup.backupPrefix | quote }}
{{- if $backup.enable }}
NEWER_BACKUPS_IN: {{ printf "%s/%s" (trimSuffix "/" $backup.bucket) $backup.backupPrefix | quote }}
{{- end }}
BUCKET: {{ $restore.bucket | quote }}
{{- include "pulsar.copies.restored.data" . }}
JUTE_MAXBUFFER: {{ include "pulsar.zookeeper.juteMaxBuffer" . | quote }}
MANAGED_LEDGER_PATH: {{ $restore.managedLedgerPath | quote }}
RESTORE_POINT: {{ $restore.restorePoint | quote }}
RESTORE_VERSION: {{ include "pulsar.number" $restore.restoreVersion | quote }}
OVERWRITE_EXISTING: {{ $restore.overwriteExisting | quote }}
RESTORE_SCOPE: {{ $restore.scope | quote }}
TIERED_STORAGE_RECONCILE: {{ ($restore.tieredStorage | default dict).reconcile | default false | quote }}
INFINITE_RETENTION: {{ $restore.infiniteRetention | quote }}
RENAME_CLUSTER: {{ $restore.renameCluster | quote }}
{{- include "pulsar.tieredStorage.moved" . }}
{{- include "pulsar.tieredStorage.data" (dict "root" . "tool" "restore") }}
{{- if or .Values.initialize $metadata.clusterName }}
CLUSTER_NAME: {{ include "pulsar.clusterName" . | quote }}
{{- end }}
{{- if or .Values.initialize $metadata.webServiceUrl }}
CLUSTER_SERVICE_URL: {{ include "pulsar.webServiceUrl" . | quote }}
{{- end }}
{{- if or .Values.initialize $metadata.brokerServiceUrl }}
CLUSTER_BROKER_SERVICE_URL: {{ include "pulsar.brokerServiceUrl" . | quote }}
{{- end }}
ZOOKEEPER_SERVERS: {{ printf "%s%s" (include "pulsar.zookeeper.members" .) ($restore.chroot | default "") | quote }}
ZOOKEEPER_ADMIN_PORT: "9990"
{{- include "pulsar.zookeeper.client.data" . }}
SPOOL_DIR: /tmp
ZOOKEEPER_DATA_DIR: /pulsar/data/zookeeper
{{- with include "pulsar.zookeeper.logs.directory" . }}
ZOOKEEPER_DATA_LOG_DIR: {{ . }}
{{- end }}
{{- include "pulsar.tool.data" (dict "root" . "tool" "restore") | nindent 0 }}
{{- end }}
