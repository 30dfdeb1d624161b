{{/* What backup and restore have in common, because they are the same program. */}}

{{- define "pulsar.tool.serviceAccount" -}}
{{- $account := .Values.zookeeper.customTools.serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (printf "%s-metadata-tool" (include "pulsar.fullname" .)) -}}
{{- else -}}
{{- $account.name | default "default" -}}
{{- end -}}
{{- end }}

{{/* serviceAccountName, if there is one. Its token is not mounted, because the program never asks Kubernetes. */}}
{{- define "pulsar.tool.account" -}}
{{- if .Values.zookeeper.customTools.serviceAccount.use }}
serviceAccountName: {{ include "pulsar.tool.serviceAccount" . }}
{{- end }}
{{- end }}

{{/*
envFrom and env of the program. Call with (dict "root" $ "tool" name), with "more" variables as YAML, and with "configMap"
if it is not that of the tool.
*/}}
{{- define "pulsar.tool.environment" -}}
{{- $values := index .root.Values.zookeeper.customTools .tool -}}
envFrom:
  - configMapRef: {name: {{ .configMap | default (include (printf "pulsar.%s.fullname" .tool) .root) }}}
  {{- with $values.extraEnvFrom }}
  {{- include "pulsar.yaml" . | nindent 2 }}
  {{- end }}
{{- $digest := eq (include "pulsar.tool.mechanism" .root) "DIGEST-MD5" }}
{{- $authorities := and (include "pulsar.tool.authorities" .) (kindIs "invalid" (index ($values.configData | default dict) "AWS_CA_BUNDLE")) }}
{{- if or ($values.secrets).use $authorities $digest $values.extraEnv .more }}
env:
  {{- with .more }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if ($values.secrets).use }}
  - {name: S3_CREDENTIALS_DIR, value: /etc/aws-secret}
  {{- end }}
  {{- if $authorities }}
  - {name: AWS_CA_BUNDLE, value: /etc/object-store-ca/ca.crt}
  {{- end }}
  {{- if $digest }}
  {{- range $name, $key := dict "ZOOKEEPER_SASL_USER" "user" "ZOOKEEPER_SASL_PASSWORD" "password" }}
  - name: {{ $name }}
    valueFrom: {secretKeyRef: {name: {{ $.root.Values.zookeeper.customTools.backup.sasl.secretName | quote }}, key: {{ $key }}}}
  {{- end }}
  {{- end }}
  {{- with $values.extraEnv }}
  {{- include "pulsar.yaml" . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The SASL mechanism of the logins to ZooKeeper, of the backup and of a restore. Empty: no SASL. */}}
{{- define "pulsar.tool.mechanism" -}}
{{- (.Values.zookeeper.customTools.backup.sasl).mechanism | default "" -}}
{{- end }}

{{/* Mounts for keys, authorities and a keytab. Unlike variables, they change in a running pod. */}}
{{- define "pulsar.tool.mounts" -}}
{{- if ((index .root.Values.zookeeper.customTools .tool).secrets).use }}
- {name: object-store-keys, mountPath: /etc/aws-secret, readOnly: true}
{{- end }}
{{- if include "pulsar.tool.authorities" . }}
- {name: object-store-ca, mountPath: /etc/object-store-ca, readOnly: true}
{{- end }}
{{- if eq (include "pulsar.tool.mechanism" .root) "GSSAPI" }}
- {name: zookeeper-sasl, mountPath: /etc/zookeeper-sasl, readOnly: true}
{{- end }}
{{- end }}

{{/* The volumes of these mounts. Readable for the group, because the pod's fsGroup owns them. */}}
{{- define "pulsar.tool.volumes" -}}
{{- $secrets := (index .root.Values.zookeeper.customTools .tool).secrets | default dict }}
{{- if $secrets.use }}
- name: object-store-keys
  {{- include "pulsar.tool.keys" (dict "root" .root "secretName" $secrets.aws.secretName) | nindent 2 }}
{{- end }}
{{- with include "pulsar.tool.authorities" . }}
- name: object-store-ca
  secret: {secretName: {{ . | quote }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- if eq (include "pulsar.tool.mechanism" .root) "GSSAPI" }}
- name: zookeeper-sasl
  projected:
    sources:
      {{- $krb5 := list (dict "key" "krb5.conf" "path" "krb5.conf") }}
      {{- $keytab := list (dict "key" "keytab" "path" "keytab") }}
      {{- with .root.Values.zookeeper.customTools.backup.sasl }}
      {{- if .krb5ConfigMap }}
      - configMap: {name: {{ .krb5ConfigMap | quote }}, items: {{ $krb5 | toJson }}}
      - secret: {name: {{ .secretName | quote }}, items: {{ $keytab | toJson }}}
      {{- else }}
      - secret: {name: {{ .secretName | quote }}, items: {{ concat $keytab $krb5 | toJson }}}
      {{- end }}
      {{- end }}
{{- end }}
{{- end }}

{{/* A volume of a Secret with keys, under the names that the program knows. Call with (dict "root" $ "secretName" name). */}}
{{- define "pulsar.tool.keys" -}}
{{- $keys := (.root.Values.zookeeper.customTools.objectStore).secretKeys | default dict -}}
secret:
  secretName: {{ .secretName | quote }}
  defaultMode: 0440
  items:
    - {key: {{ $keys.accessKeyId | default "AWS_ACCESS_KEY_ID" | quote }}, path: AWS_ACCESS_KEY_ID}
    - {key: {{ $keys.secretAccessKey | default "AWS_SECRET_ACCESS_KEY" | quote }}, path: AWS_SECRET_ACCESS_KEY}
    {{- with $keys.sessionToken }}
    - {key: {{ . | quote }}, path: AWS_SESSION_TOKEN}
    {{- end }}
{{- end }}

{{/* The name of the Secret with the object store's authorities. Empty if there is none. */}}
{{- define "pulsar.tool.authorities" -}}
{{- (.root.Values.zookeeper.customTools.objectStore).caSecretName | default "" -}}
{{- end }}

{{/*
The login to ZooKeeper, the configData of backup or restore, and the values of objectStore that configData does not set.
Call with (dict "root" $ "tool" name).
*/}}
{{- define "pulsar.tool.data" -}}
{{- with .root.Values.zookeeper.customTools.backup.sasl }}
{{- if .mechanism }}
ZOOKEEPER_SASL_MECHANISM: {{ .mechanism }}
{{- end }}
{{- if eq (.mechanism | default "") "GSSAPI" }}
KRB5_CONFIG: /etc/zookeeper-sasl/krb5.conf
ZOOKEEPER_SASL_KEYTAB: /etc/zookeeper-sasl/keytab
ZOOKEEPER_SASL_PRINCIPAL: {{ .principal | default "" | quote }}
ZOOKEEPER_SASL_SERVICE: {{ .service | quote }}
{{- end }}
{{- end }}
{{- $own := (index .root.Values.zookeeper.customTools .tool).configData | default dict }}
{{- $store := .root.Values.zookeeper.customTools.objectStore | default dict }}
{{- range $name, $value := dict "AWS_ENDPOINT_URL_S3" $store.endpoint "AWS_REGION" $store.region }}
{{- if and $value (kindIs "invalid" (index $own $name)) }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- include "pulsar.configData" $own }}
{{- end }}

{{/* configData as the data of a ConfigMap. Null counts as unset. */}}
{{- define "pulsar.configData" -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ $name }}: {{ include "pulsar.number" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The ensemble that is backed up and initialised. */}}
{{- define "pulsar.zookeeper.connect" -}}
{{- if .Values.components.zookeeper -}}
{{ include "pulsar.zookeeper.fullname" . }}.{{ include "pulsar.namespace" . }}.svc.{{ .Values.clusterDomain }}:{{ include "pulsar.zookeeper.clientPort" . }}
{{- else -}}
{{ (include "pulsar.connect.parse" .Values.zookeeper.connect | fromJson).address }}
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
