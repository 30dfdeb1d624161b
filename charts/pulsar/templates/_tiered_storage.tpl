{{/* How the program reads the buckets that brokers offload to. Call each with the root, unless it says otherwise. */}}

{{/*
The part of a ConfigMap. What is empty is as for the backups, and configData goes first. Call with (dict "root" $ "tool"
name).
*/}}
{{- define "pulsar.tieredStorage.data" -}}
{{- $own := (index .root.Values.zookeeper.customTools .tool).configData | default dict }}
{{- with .root.Values.zookeeper.customTools.tieredStorage }}
{{- range $part, $value := dict "ADDRESSING_STYLE" .addressingStyle "ENDPOINT_URL" .endpointUrl "REGION" .region }}
{{- $name := printf "TIERED_STORAGE_%s" $part }}
{{- if and $value (kindIs "invalid" (index $own $name)) }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The name of the Secret with its keys. Empty: it is read with the credentials of the backups. */}}
{{- define "pulsar.tieredStorage.secret" -}}
{{- with (.Values.zookeeper.customTools.tieredStorage).secrets -}}
{{- if .enabled }}{{ .secretName }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "pulsar.tieredStorage.env" -}}
{{- if include "pulsar.tieredStorage.secret" . }}
- {name: TIERED_STORAGE_CREDENTIALS_DIR, value: /etc/tiered-storage-secret}
{{- end }}
{{- end }}

{{- define "pulsar.tieredStorage.mounts" -}}
{{- if include "pulsar.tieredStorage.secret" . }}
- {name: tiered-storage-keys, mountPath: /etc/tiered-storage-secret, readOnly: true}
{{- end }}
{{- end }}

{{- define "pulsar.tieredStorage.volumes" -}}
{{- with include "pulsar.tieredStorage.secret" . }}
- name: tiered-storage-keys
  {{- include "pulsar.tool.keys" (dict "root" $ "secretName" .) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.tieredStorage" -}}
{{- $key := "zookeeper.customTools.tieredStorage" }}
{{- include "pulsar.validate.environment" (dict "key" $key "values" (dict "endpointUrl" .endpointUrl)) }}
{{- if and .endpointUrl (not (regexMatch "^https?://[^/ ]+(/[^ ]*)?$" .endpointUrl)) }}
{{- fail (printf "%s.endpointUrl is %q. Set it to https://<host>[:<port>]" $key .endpointUrl) }}
{{- end }}
{{- if and (.secrets).enabled (not (.secrets).secretName) }}
{{- fail (printf "%s.secrets.secretName is empty, but secrets.enabled is true. Set it to the name of a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" $key) }}
{{- end }}
{{- end }}
