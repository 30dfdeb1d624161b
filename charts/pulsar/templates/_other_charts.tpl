{{/*
Refuses values of another chart in one message, with the key to use here for each (other-charts.yaml). The schema lets
these keys pass. Empty values are not refused.
*/}}
{{- define "pulsar.validate.otherCharts" -}}
{{- $table := .Files.Get "other-charts.yaml" | fromYaml }}
{{- $lines := list }}
{{- range $path, $way := $table.moved }}
{{- if include "pulsar.value.isSet" (dict "values" $.Values "path" $path) }}
{{- $lines = append $lines (printf "%s: %s" $path $way) }}
{{- end }}
{{- end }}
{{- range $tool := list "backup" "restore" }}
{{- $repository := (get $.Values.images.zookeeper.customTools $tool).repository | default "" }}
{{- if regexMatch "(^|/)streamnative/pulsar-metadata-tool$" $repository }}
{{- $lines = append $lines (printf "images.zookeeper.customTools.%s.repository: Set it to an image of this project's program. %s is another program" $tool $repository) }}
{{- end }}
{{- end }}
{{- range $table.absent }}
{{- $found := list }}
{{- range .keys }}
{{- if not (has (include "pulsar.value.isSet" (dict "values" $.Values "path" .)) (list "" "false")) }}
{{- $found = append $found . }}
{{- end }}
{{- end }}
{{- if $found }}
{{- $lines = append $lines (printf "%s: Remove %s. %s" (join ", " $found) (ternary "it" "them" (eq 1 (len $found))) .why) }}
{{- end }}
{{- end }}
{{- if $lines }}
{{- range $name, $_ := .Values.zookeeper.configData }}
{{- if include "pulsar.isSetting" $name }}
{{- $lines = append $lines (printf "zookeeper.configData.%s: Use zookeeper.config.%s" $name (trimPrefix "PULSAR_PREFIX_" $name)) }}
{{- end }}
{{- end }}
{{- fail (printf "the values have keys of another chart. Change them as follows, and see Coming from another chart in the README of this chart\n  %s\n" (join "\n  " $lines)) }}
{{- end }}
{{- end }}

{{/*
Whether a value is set at a path such as a.b.c: nothing if it is empty, `false` if it is false, and `true` otherwise. An
empty value counts as set if it would become a field of a pod.
*/}}
{{- define "pulsar.value.isSet" -}}
{{- $rendered := "^(zookeeper|bookkeeper|broker|proxy)[.](affinity|probe|securityContext)[.]" -}}
{{- $state := dict "value" .values -}}
{{- range splitList "." .path -}}
{{- $below := dict -}}
{{- if kindIs "map" $state.value }}{{ $below = $state.value }}{{ end -}}
{{- $_ := set $state "value" (index $below .) -}}
{{- end -}}
{{- if kindIs "bool" $state.value -}}
{{- $state.value -}}
{{- else if or $state.value (and (not (kindIs "invalid" $state.value)) (regexMatch $rendered .path)) -}}
true
{{- end -}}
{{- end }}
