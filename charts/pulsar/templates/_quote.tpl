{{/* Strings in parts of Kubernetes' objects. The API refuses a number or a boolean there, as YAML reads `1` and `true`. */}}

{{/* A map or list of values as YAML, with strings where Kubernetes expects strings. ci/chart_kubernetes.py has the same names. */}}
{{- define "pulsar.yaml" -}}
{{- if kindIs "invalid" . -}}
{}
{{- else -}}
{{- $copy := deepCopy . -}}
{{- include "pulsar.quote" $copy -}}
{{- toYaml $copy -}}
{{- end -}}
{{- end }}

{{/* Makes strings of the values that must be strings, in a map or in the maps of a list. Changes them in place. */}}
{{- define "pulsar.quote" -}}
{{- if kindIs "map" . -}}
{{- range $name, $value := . -}}
{{- if and (kindIs "map" $value) (has $name (list "annotations" "labels" "matchLabels" "nodeSelector" "options" "userAnnotations" "volumeAttributes")) -}}
{{- $_ := set $ $name (include "pulsar.texts" $value | fromYaml) -}}
{{- else if and (kindIs "slice" $value) (has $name (list "args" "command" "values")) -}}
{{- $texts := list -}}
{{- range $value -}}
{{- $texts = append $texts (include "pulsar.text" .) -}}
{{- end -}}
{{- $_ := set $ $name $texts -}}
{{- else if and (eq $name "value") (not (kindIs "invalid" $value)) -}}
{{- $_ := set $ $name (include "pulsar.text" $value) -}}
{{- else -}}
{{- include "pulsar.quote" $value -}}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" . -}}
{{- range . -}}
{{- include "pulsar.quote" . -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A number or a boolean as a string. A string is returned unchanged. */}}
{{- define "pulsar.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ include "pulsar.number" . }}{{ end -}}
{{- end }}

{{/* One of extraObjects, with strings in its labels and annotations, and in the data of a ConfigMap or Secret. */}}
{{- define "pulsar.object" -}}
{{- $object := deepCopy . -}}
{{- if has .kind (list "ConfigMap" "Secret") -}}
{{- range $name := list "data" "stringData" -}}
{{- with get $object $name -}}
{{- $_ := set $object $name (include "pulsar.texts" . | fromYaml) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if kindIs "map" $object.metadata -}}
{{- include "pulsar.quote" $object.metadata -}}
{{- end -}}
{{- toYaml $object -}}
{{- end }}
