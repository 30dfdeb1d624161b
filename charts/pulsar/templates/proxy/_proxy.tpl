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
