{{/*
How the program reaches brokers. Call each with (dict "root" $ "login" values). The values are those of `backup.broker`,
or of `restore.putBack`, whose empty values mean those of `backup.broker`.
*/}}

{{/* Address of the brokers' web service. Call with the root. */}}
{{- define "pulsar.brokers.url" -}}
{{- $broker := .Values.zookeeper.customTools.backup.broker -}}
{{- $secure := $broker.tls.enabled -}}
{{- $port := ternary .Values.broker.ports.https .Values.broker.ports.http $secure -}}
{{- $broker.serviceUrl | default (printf "%s://%s:%d" (ternary "https" "http" $secure) (include "pulsar.broker" .) (int $port)) -}}
{{- end }}

{{/* The Secret with the token and its key there, as JSON. */}}
{{- define "pulsar.brokers.token" -}}
{{- ternary .login.token .root.Values.zookeeper.customTools.backup.broker.token (not (empty .login.token.secretName)) | toJson -}}
{{- end }}

{{/* The Secret with certificates. Empty without TLS. */}}
{{- define "pulsar.brokers.certificates" -}}
{{- $tls := .root.Values.zookeeper.customTools.backup.broker.tls -}}
{{- if $tls.enabled }}{{ .login.tls.secretName | default $tls.secretName }}{{ end -}}
{{- end }}

{{/* Variables for a ConfigMap. */}}
{{- define "pulsar.brokers.data" -}}
{{- $broker := .root.Values.zookeeper.customTools.backup.broker }}
BROKER_SERVICE_URL: {{ include "pulsar.brokers.url" .root | quote }}
BROKER_REQUESTS: {{ include "pulsar.number" $broker.requests | quote }}
BROKER_REQUEST_RATE: {{ include "pulsar.number" $broker.requestRate | quote }}
{{- if (include "pulsar.brokers.token" . | fromJson).secretName }}
BROKER_TOKEN_FILE: /etc/broker-token/token
{{- end }}
{{- if include "pulsar.brokers.certificates" . }}
BROKER_TLS_CA: /etc/broker-tls/ca.crt
{{- if $broker.tls.clientCertificate }}
BROKER_TLS_CERT: /etc/broker-tls/tls.crt
BROKER_TLS_KEY: /etc/broker-tls/tls.key
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.brokers.mounts" -}}
{{- if (include "pulsar.brokers.token" . | fromJson).secretName }}
- {name: broker-token, mountPath: /etc/broker-token, readOnly: true}
{{- end }}
{{- if include "pulsar.brokers.certificates" . }}
- {name: broker-tls, mountPath: /etc/broker-tls, readOnly: true}
{{- end }}
{{- end }}

{{/* Readable for the group, because the pod's fsGroup owns them. */}}
{{- define "pulsar.brokers.volumes" -}}
{{- $token := include "pulsar.brokers.token" . | fromJson }}
{{- if $token.secretName }}
- name: broker-token
  secret: {secretName: {{ $token.secretName | quote }}, defaultMode: 0440, items: [{key: {{ $token.key | quote }}, path: token}]}
{{- end }}
{{- with include "pulsar.brokers.certificates" . }}
- name: broker-tls
  secret: {secretName: {{ . | quote }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* Refuses addresses and logins that cannot work. Call with the root. */}}
{{- define "pulsar.validate.brokers" -}}
{{- $key := "zookeeper.customTools.backup.broker" }}
{{- $broker := .Values.zookeeper.customTools.backup.broker }}
{{- range $name, $variable := dict "timeout" "BROKER_TIMEOUT" "requests" "BROKER_REQUESTS" "requestRate" "BROKER_REQUEST_RATE" }}
{{- include "pulsar.validate.number" (dict "key" (printf "%s.%s" $key $name) "value" (get $broker $name) "variable" $variable) }}
{{- end }}
{{- include "pulsar.validate.environment" (dict "key" $key "values" (dict "serviceUrl" $broker.serviceUrl)) }}
{{- $scheme := ternary "https" "http" $broker.tls.enabled }}
{{- if and $broker.tls.enabled (not $broker.tls.secretName) }}
{{- fail (printf "%s.tls.secretName is empty, but tls.enabled is true. Set it to the name of a Secret with ca.crt" $key) }}
{{- end }}
{{- if $broker.serviceUrl }}
{{- $server := regexReplaceAll "^https?://(.*?)/?$" $broker.serviceUrl "${1}" }}
{{- if or (eq $server $broker.serviceUrl) (not (include "pulsar.connect.host" $server)) }}
{{- fail (printf "%s.serviceUrl is %q. Set it to http://<host>:<port> or https://<host>:<port>" $key $broker.serviceUrl) }}
{{- end }}
{{- if and $broker.tls.enabled (hasPrefix "http:" $broker.serviceUrl) }}
{{- fail (printf "%s.serviceUrl is %q, but tls.enabled is true. Set it to https://<host>:<port>, or tls.enabled to false" $key $broker.serviceUrl) }}
{{- end }}
{{- else if not .Values.components.broker }}
{{- fail (printf "%s.serviceUrl is empty, and this release starts no brokers. Set it to the address of the brokers' web service, %s://<host>:<port>" $key $scheme) }}
{{- else if not (ternary .Values.broker.ports.https .Values.broker.ports.http $broker.tls.enabled) }}
{{- fail (printf "%s.tls.enabled is true, but broker.ports.https is empty. Set it to a port, or tls.enabled to false" $key) }}
{{- end }}
{{- end }}
