{{/* What things are called, and the labels they carry. */}}

{{- define "pulsar.namespace" -}}
{{- .Values.namespace | default .Release.Namespace -}}
{{- end }}

{{- define "pulsar.fullname" -}}
{{- .Release.Name }}-pulsar
{{- end }}

{{- define "pulsar.zookeeper.fullname" -}}
{{- include "pulsar.fullname" . }}-{{ .Values.zookeeper.component }}
{{- end }}

{{- define "pulsar.zookeeper.headless" -}}
{{- include "pulsar.zookeeper.fullname" . }}-headless
{{- end }}

{{- define "pulsar.backup.fullname" -}}
{{- include "pulsar.fullname" . }}-{{ .Values.zookeeper.customTools.backup.component }}
{{- end }}

{{- define "pulsar.restore.fullname" -}}
{{- include "pulsar.fullname" . }}-{{ .Values.zookeeper.customTools.restore.component }}
{{- end }}

{{/* The cluster's name in Pulsar's own metadata. */}}
{{- define "pulsar.clusterName" -}}
{{- .Values.pulsar_metadata.clusterName | default (include "pulsar.fullname" .) -}}
{{- end }}

{{- define "pulsar.broker" -}}
{{ include "pulsar.fullname" . }}-broker.{{ include "pulsar.namespace" . }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{- define "pulsar.webServiceUrl" -}}
{{- .Values.pulsar_metadata.webServiceUrl | default (printf "http://%s:8080/" (include "pulsar.broker" .)) -}}
{{- end }}

{{- define "pulsar.brokerServiceUrl" -}}
{{- .Values.pulsar_metadata.brokerServiceUrl | default (printf "pulsar://%s:6650/" (include "pulsar.broker" .)) -}}
{{- end }}

{{/* Labels that select a component's pods. Call with (dict "root" $ "component" name). */}}
{{- define "pulsar.selector" -}}
app: pulsar
release: {{ .root.Release.Name }}
component: {{ .component }}
{{- end }}

{{/* Labels of a component's pods: no versions, so that a new chart alone restarts nothing. Call as "pulsar.selector". */}}
{{- define "pulsar.podLabels" -}}
{{ include "pulsar.selector" . }}
cluster: {{ include "pulsar.fullname" .root }}
app.kubernetes.io/name: pulsar
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* All labels of a component's objects. Call as "pulsar.selector". */}}
{{- define "pulsar.labels" -}}
{{ include "pulsar.podLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of a component's object. Call with (dict "root" $ "component" c "name" n). */}}
{{- define "pulsar.metadata" -}}
name: {{ .name }}
namespace: {{ include "pulsar.namespace" .root }}
labels: {{- include "pulsar.labels" . | nindent 2 }}
{{- end }}

{{/* A number that was given as one or as a string, without an exponent. */}}
{{- define "pulsar.number" -}}
{{- if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ toString . | trim }}{{ end -}}
{{- end }}
