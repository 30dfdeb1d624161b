{{/*
The rules, one in each file of alerts/, those of drills only if drills are on. Without those in excludedAlerts, with the
labels of alertLabels, and with a link to the alert's section in the runbooks.
*/}}
{{- define "pulsar.alerts" -}}
{{- $values := .Values.monitoring.prometheusRule -}}
{{- $more := include "pulsar.texts" $values.alertLabels | fromYaml -}}
{{- $runbooks := $values.runbookUrl | default (printf "%s/blob/main/docs/runbooks.md" (trimSuffix "/" .Chart.Home)) -}}
{{- $drills := (.Values.zookeeper.customTools.backup.drill).enabled -}}
{{- $names := list -}}
{{- $rules := list -}}
{{- range $path, $_ := .Files.Glob "alerts/*.yaml" }}
{{- $rule := tpl ($.Files.Get $path) $ | fromYaml }}
{{- $names = append $names $rule.alert }}
{{- $_ := set $rule.annotations "runbook_url" (printf "%s#%s" $runbooks (lower $rule.alert)) }}
{{- $applies := or $drills (not (hasPrefix "alerts/drill-" $path)) }}
{{- if and $applies (not (has $rule.alert ($values.excludedAlerts | default list))) }}
{{- $rules = append $rules (set $rule "labels" (merge (dict) $more $rule.labels)) }}
{{- end }}
{{- end }}
{{- range $values.excludedAlerts }}
{{- if not (has . $names) }}
{{- fail (printf "monitoring.prometheusRule.excludedAlerts has %s, which is not one of the chart's alerts. Use one of %s" . (join ", " $names)) }}
{{- end }}
{{- end }}
{{- toYaml $rules }}
{{- end }}
