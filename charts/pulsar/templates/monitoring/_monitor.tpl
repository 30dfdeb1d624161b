{{/*
A PodMonitor or ServiceMonitor. Call with (dict "root" $ "component" c "name" n "kind" kind "endpoints" key
"values" values).
*/}}
{{- define "pulsar.monitor" -}}
apiVersion: monitoring.coreos.com/v1
kind: {{ .kind }}
metadata:
  {{- include "pulsar.metadata" (merge (dict "labels" .values.labels) .) | nindent 2 }}
spec:
  selector:
    matchLabels: {{- include "pulsar.selector" . | nindent 6 }}
  {{ .endpoints }}:
    - port: http
      path: /metrics
      interval: {{ .values.interval }}
      {{- with .values.scrapeTimeout }}
      scrapeTimeout: {{ . }}
      {{- end }}
      {{- with .values.relabelings }}
      relabelings: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.metricRelabelings }}
      metricRelabelings: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
