{{/* Names and labels of the objects. */}}

{{- define "pulsar.namespace" -}}
{{- .Values.namespace | default .Release.Namespace -}}
{{- end }}

{{- define "pulsar.fullname" -}}
{{- .Values.fullnameOverride | default (printf "%s-pulsar" .Release.Name) -}}
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

{{- define "pulsar.drill.fullname" -}}
{{- include "pulsar.fullname" . }}-drill
{{- end }}

{{- define "pulsar.restore.fullname" -}}
{{- include "pulsar.fullname" . }}-{{ .Values.zookeeper.customTools.restore.component }}
{{- end }}

{{- define "pulsar.putBack.fullname" -}}
{{- include "pulsar.fullname" . }}-put-back
{{- end }}

{{/* The cluster's name in Pulsar's metadata. */}}
{{- define "pulsar.clusterName" -}}
{{- .Values.pulsar_metadata.clusterName | default (include "pulsar.fullname" .) -}}
{{- end }}

{{- define "pulsar.broker" -}}
{{ include "pulsar.fullname" . }}-{{ .Values.broker.component }}.{{ include "pulsar.namespace" . }}.svc.{{ .Values.clusterDomain }}
{{- end }}

{{- define "pulsar.webServiceUrl" -}}
{{- .Values.pulsar_metadata.webServiceUrl | default (printf "http://%s:%d/" (include "pulsar.broker" .) (int .Values.broker.ports.http)) -}}
{{- end }}

{{- define "pulsar.brokerServiceUrl" -}}
{{- .Values.pulsar_metadata.brokerServiceUrl | default (printf "pulsar://%s:%d/" (include "pulsar.broker" .) (int .Values.broker.ports.pulsar)) -}}
{{- end }}

{{/*
Where the release's own pods reach the brokers. The addresses above may be those of the proxies, for clients outside. If
another chart runs the brokers, they are all there is.
*/}}
{{- define "pulsar.internal.webServiceUrl" -}}
{{- $inside := printf "http://%s:%d/" (include "pulsar.broker" .) (int .Values.broker.ports.http) -}}
{{- .Values.components.broker | ternary $inside (include "pulsar.webServiceUrl" .) -}}
{{- end }}

{{- define "pulsar.internal.brokerServiceUrl" -}}
{{- $inside := printf "pulsar://%s:%d/" (include "pulsar.broker" .) (int .Values.broker.ports.pulsar) -}}
{{- .Values.components.broker | ternary $inside (include "pulsar.brokerServiceUrl" .) -}}
{{- end }}

{{/* Labels that select a component's pods. Call with (dict "root" $ "component" name). */}}
{{- define "pulsar.selector" -}}
app: pulsar
release: {{ .root.Release.Name | quote }}
component: {{ .component | quote }}
{{- end }}

{{/* Labels that the chart gives to a component's pods. Without versions, so that a new chart alone restarts nothing. */}}
{{- define "pulsar.ownLabels" -}}
{{ include "pulsar.selector" . }}
cluster: {{ include "pulsar.fullname" .root | quote }}
app.kubernetes.io/name: pulsar
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end }}

{{/* Labels of a component's pods. Call as "pulsar.selector", and with "labels" of the user, which cannot replace the chart's. */}}
{{- define "pulsar.podLabels" -}}
{{- mergeOverwrite (include "pulsar.texts" .labels | fromYaml) (include "pulsar.ownLabels" . | fromYaml) | toYaml }}
{{- end }}

{{/*
The metadata of a component's object. Call with (dict "root" $ "component" c "name" n), and with "labels" of the user.
They override the chart's, because a Prometheus selects by them.
*/}}
{{- define "pulsar.metadata" -}}
{{- $versions := dict
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_"))
-}}
{{- $own := include "pulsar.ownLabels" . | fromYaml -}}
{{- $labels := mergeOverwrite (include "pulsar.texts" .root.Values.commonLabels | fromYaml) $own $versions (include "pulsar.texts" .labels | fromYaml) -}}
name: {{ .name }}
namespace: {{ include "pulsar.namespace" .root | quote }}
labels: {{- toYaml $labels | nindent 2 }}
{{- end }}

{{/* A number or a string as text, without an exponent. */}}
{{- define "pulsar.number" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . | trim }}{{ end -}}
{{- end }}

{{/* A map with all values as text, because YAML reads a label such as `true` as a boolean. Without nulls. */}}
{{- define "pulsar.texts" -}}
{{- $texts := dict -}}
{{- range $name, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $texts $name (include "pulsar.text" $value) }}
{{- end }}
{{- end }}
{{- with $texts }}{{ toYaml . }}{{ end -}}
{{- end }}
