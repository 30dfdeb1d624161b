{{/* Refuses values that could not work, one clear line each. Types and unknown keys are the schema's to refuse. */}}

{{- define "pulsar.validate" -}}
{{- include "pulsar.validate.names" . }}
{{- include "pulsar.validate.zookeeper" . }}
{{- $tools := .Values.zookeeper.customTools }}
{{- if $tools.backup.enable }}
{{- include "pulsar.validate.tool" (dict "tool" "backup" "values" $tools.backup) }}
{{- include "pulsar.validate.backup" $tools.backup }}
{{- end }}
{{- if $tools.restore.enable }}
{{- include "pulsar.validate.tool" (dict "tool" "restore" "values" $tools.restore) }}
{{- include "pulsar.validate.restore" . }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.names" -}}
{{- if gt (len (include "pulsar.fullname" .)) 40 }}
{{- fail (printf "the release's name %s is too long: %s-zookeeper-headless and the like must stay below 64 characters, take a name of at most 33" .Release.Name (include "pulsar.fullname" .)) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.zookeeper" -}}
{{- $zookeeper := .Values.zookeeper }}
{{- if and $zookeeper.enabled $zookeeper.connect }}
{{- fail "zookeeper.connect is for an ensemble that something else runs: set zookeeper.enabled=false with it, or leave it empty" }}
{{- end }}
{{- if and (not $zookeeper.enabled) (not $zookeeper.connect) (or $zookeeper.customTools.backup.enable .Values.initialize) }}
{{- fail "zookeeper.connect is empty, and zookeeper.enabled is false: set it to the host:port,host:port,… of the ensemble" }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.tool" -}}
{{- $key := printf "zookeeper.customTools.%s" .tool }}
{{- $secrets := .values.secrets | default dict }}
{{- if and $secrets.use (not ($secrets.aws).secretName) }}
{{- fail (printf "%s.secrets.aws.secretName is empty, and secrets.use is true: set it to the name of a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" $key) }}
{{- end }}
{{- range $name, $_ := .values.configData }}
{{- if has $name (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN" "ZOOKEEPER_AUTH") }}
{{- fail (printf "%s.configData.%s is a secret, which a ConfigMap must not hold: use secrets, or extraEnv with a secretKeyRef" $key $name) }}
{{- end }}
{{- if has $name (list "BUCKET" "BACKUP_PREFIX" "BACKUP_INTERVAL" "WEB_SERVER_PORT" "MANAGED_LEDGER_PATH" "ZOOKEEPER_SERVERS" "ZOOKEEPER_DATA_DIR" "RESTORE_POINT" "RESTORE_VERSION" "RESTORE_SCOPE" "HOLD_RETENTION" "RENAME_CLUSTER" "CLUSTER_NAME" "CLUSTER_SERVICE_URL" "CLUSTER_BROKER_SERVICE_URL" "SPOOL_DIR") }}
{{- fail (printf "%s.configData.%s is set by the chart from the other values: remove it" $key $name) }}
{{- end }}
{{- end }}
{{- if not (regexMatch "^/[^/]+(/[^/]+)*$" .values.managedLedgerPath) }}
{{- fail (printf "%s.managedLedgerPath is %q: set it to the path of a znode, such as /managed-ledgers" $key .values.managedLedgerPath) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.number" -}}
{{- $value := include "pulsar.number" .value }}
{{- if not (regexMatch "^[0-9]{1,8}$" $value) }}
{{- fail (printf "%s is %q: set it to a whole number from %d to %d" .key $value .low .high) }}
{{- end }}
{{- if or (lt (atoi $value) .low) (gt (atoi $value) .high) }}
{{- fail (printf "%s is %s: set it to a whole number from %d to %d" .key $value .low .high) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.backup" -}}
{{- $key := "zookeeper.customTools.backup" }}
{{- include "pulsar.validate.number" (dict "key" (printf "%s.backupInterval (seconds)" $key) "value" .backupInterval "low" 10 "high" 31536000) }}
{{- include "pulsar.validate.number" (dict "key" (printf "%s.webServerPort" $key) "value" .webServerPort "low" 1024 "high" 65535) }}
{{- if not .bucket }}
{{- fail (printf "%s.bucket is empty: set it to s3a://<bucket> or s3a://<bucket>/<path>" $key) }}
{{- end }}
{{- if not (regexMatch "^(s3a?://[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9](/.*)?|file:///.+)$" .bucket) }}
{{- fail (printf "%s.bucket is no address of a bucket: set it to s3a://<bucket> or s3a://<bucket>/<path>" $key) }}
{{- end }}
{{- if not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$" .backupPrefix) }}
{{- fail (printf "%s.backupPrefix is %q: set it to letters, digits, '.', '_' and '-', up to 200 of them" $key .backupPrefix) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.restore" -}}
{{- $key := "zookeeper.customTools.restore" }}
{{- $restore := .Values.zookeeper.customTools.restore }}
{{- if not .Values.zookeeper.enabled }}
{{- fail (printf "%s.enable is true, and zookeeper.enabled is false: a restore fills the volumes of ZooKeepers that this chart starts, it cannot reach those of another ensemble" $key) }}
{{- end }}
{{- if not .Values.zookeeper.volumes.persistence }}
{{- fail (printf "%s.enable is true, and zookeeper.volumes.persistence is false: every restart of a pod would restore again, and lose what was written since" $key) }}
{{- end }}
{{- if not $restore.restorePoint }}
{{- fail (printf "%s.restorePoint is empty: set it to s3a://<bucket>/<prefix>-<epoch ms>.tar.gz, as GET /backup/list showed it" $key) }}
{{- end }}
{{- if not (regexMatch "^(s3a?://[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9]|file://)(/[^/]+)*/[A-Za-z0-9][A-Za-z0-9._-]{0,199}-(0|[1-9][0-9]{0,13})[.]tar[.]gz$" $restore.restorePoint) }}
{{- fail (printf "%s.restorePoint is no backup's address: set it to s3a://<bucket>/<prefix>-<epoch ms>.tar.gz, as GET /backup/list showed it" $key) }}
{{- end }}
{{- if not (regexMatch "^[^[:cntrl:]]{1,100}$" (include "pulsar.number" $restore.restoreVersion)) }}
{{- fail (printf "%s.restoreVersion is empty or no short text: set it to a number such as 2" $key) }}
{{- end }}
{{- end }}
