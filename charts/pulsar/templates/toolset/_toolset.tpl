{{/* The toolset's part of what "pulsar.workload" makes. */}}

{{/* Lines of client.conf. */}}
{{- define "pulsar.toolset.settings" -}}
{{- dict "brokerServiceUrl" (include "pulsar.internal.brokerServiceUrl" .) "webServiceUrl" (include "pulsar.internal.webServiceUrl" .) | toJson }}
{{- end }}

{{/* Where the commands in bin/ find their configuration. */}}
{{- define "pulsar.toolset.env" -}}
- {name: PULSAR_CLIENT_CONF, value: /etc/pulsar/client.conf}
- {name: BOOKIE_CONF, value: /etc/pulsar/bookkeeper.conf}
{{- end }}
