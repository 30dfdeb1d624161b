{{/* The proxies' part of what "pulsar.workload" makes. */}}

{{/* Lines of proxy.conf. The proxies find the brokers by their Service. */}}
{{- define "pulsar.proxy.settings" -}}
{{- $settings := dict
  "clusterName" (include "pulsar.clusterName" .)
  "brokerServiceURL" (include "pulsar.internal.brokerServiceUrl" .)
  "brokerWebServiceURL" (include "pulsar.internal.webServiceUrl" .)
  "servicePort" (toString .Values.proxy.ports.pulsar)
  "webServicePort" (toString .Values.proxy.ports.http)
  "statusFilePath" "/pulsar/logs/status"
-}}
{{- with .Values.proxy.ports.pulsarssl }}{{ $_ := set $settings "servicePortTls" (toString .) }}{{ end }}
{{- with .Values.proxy.ports.https }}{{ $_ := set $settings "webServicePortTls" (toString .) }}{{ end }}
{{- toJson $settings }}
{{- end }}

{{- define "pulsar.proxy.container" -}}
ports:
  {{- range $name, $port := include "pulsar.workload.ports" (dict "root" . "key" "proxy") | fromJson }}
  - {name: {{ $name }}, containerPort: {{ $port }}}
  {{- end }}
{{- with .Values.proxy.probe }}
startupProbe: {{- include "pulsar.workload.probe" (dict "path" "/status.html" "values" .startup) | nindent 2 }}
livenessProbe: {{- include "pulsar.workload.probe" (dict "path" "/status.html" "values" .liveness) | nindent 2 }}
readinessProbe: {{- include "pulsar.workload.probe" (dict "path" "/status.html" "values" .readiness) | nindent 2 }}
{{- end }}
{{- end }}
