{{/* The rules, one a file in alerts/, without those of excludedAlerts, and with the labels of alertLabels. */}}
{{- define "pulsar.alerts" -}}
{{- $values := .Values.monitoring.prometheusRule -}}
{{- $more := include "pulsar.texts" $values.alertLabels | fromYaml -}}
{{- $names := list -}}
{{- $rules := list -}}
{{- range $path, $_ := .Files.Glob "alerts/*.yaml" }}
{{- $rule := tpl ($.Files.Get $path) $ | fromYaml }}
{{- $names = append $names $rule.alert }}
{{- if not (has $rule.alert ($values.excludedAlerts | default list)) }}
{{- $rules = append $rules (set $rule "labels" (merge (dict) $more $rule.labels)) }}
{{- end }}
{{- end }}
{{- range $values.excludedAlerts }}
{{- if not (has . $names) }}
{{- fail (printf "monitoring.prometheusRule.excludedAlerts has %s, which is not one of the chart's alerts. Take one of %s" . (join ", " $names)) }}
{{- end }}
{{- end }}
{{- toYaml $rules }}
{{- end }}
