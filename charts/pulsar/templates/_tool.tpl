{{/* What backup and restore have in common: one program. */}}

{{- define "pulsar.tool.serviceAccount" -}}
{{- $account := .Values.zookeeper.customTools.serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (printf "%s-metadata-tool" (include "pulsar.fullname" .)) -}}
{{- else -}}
{{- $account.name | default "default" -}}
{{- end -}}
{{- end }}

{{/* serviceAccountName, where one is to be used. No token is mounted: the program asks nothing of Kubernetes. */}}
{{- define "pulsar.tool.account" -}}
{{- if .Values.zookeeper.customTools.serviceAccount.use }}
serviceAccountName: {{ include "pulsar.tool.serviceAccount" . }}
{{- end }}
{{- end }}

{{/* envFrom and env of the program. Call with (dict "root" $ "tool" name). */}}
{{- define "pulsar.tool.environment" -}}
{{- $values := index .root.Values.zookeeper.customTools .tool -}}
envFrom:
  - configMapRef: {name: {{ include (printf "pulsar.%s.fullname" .tool) .root }}}
  {{- with $values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $digest := eq (($values.sasl).mechanism | default "") "DIGEST-MD5" }}
{{- if or ($values.secrets).use $digest $values.extraEnv }}
env:
  {{- if ($values.secrets).use }}
  {{- $name := $values.secrets.aws.secretName }}
  {{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
  - name: {{ . }}
    valueFrom: {secretKeyRef: {name: {{ $name | quote }}, key: {{ . }}}}
  {{- end }}
  {{- end }}
  {{- if $digest }}
  {{- range $name, $key := dict "ZOOKEEPER_SASL_USER" "user" "ZOOKEEPER_SASL_PASSWORD" "password" }}
  - name: {{ $name }}
    valueFrom: {secretKeyRef: {name: {{ $values.sasl.secretName | quote }}, key: {{ $key }}}}
  {{- end }}
  {{- end }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* configData as the data of a ConfigMap; what is null is as good as absent. */}}
{{- define "pulsar.configData" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }}: {{ include "pulsar.number" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The ensemble that is backed up and initialised. */}}
{{- define "pulsar.zookeeper.connect" -}}
{{- if .Values.zookeeper.enabled -}}
{{ include "pulsar.zookeeper.fullname" . }}.{{ include "pulsar.namespace" . }}.svc.{{ .Values.clusterDomain }}:{{ .Values.zookeeper.ports.client }}
{{- else -}}
{{ .Values.zookeeper.connect }}
{{- end -}}
{{- end }}

{{- define "pulsar.backup.interval" -}}
{{- include "pulsar.number" .Values.zookeeper.customTools.backup.backupInterval -}}
{{- end }}

{{/* Seconds after which the newest backup is too old. */}}
{{- define "pulsar.backup.maxAge" -}}
{{- $intervals := .Values.monitoring.prometheusRule.thresholds.maxAgeIntervals -}}
{{- mulf $intervals (include "pulsar.backup.interval" .) | ceil | int64 -}}
{{- end }}

{{- define "pulsar.backup.port" -}}
{{- include "pulsar.number" .Values.zookeeper.customTools.backup.webServerPort -}}
{{- end }}

{{/* Selects this release's series in Prometheus. */}}
{{- define "pulsar.backup.selector" -}}
namespace="{{ include "pulsar.namespace" . }}", pod=~"{{ include "pulsar.backup.fullname" . }}-.*"
{{- end }}
