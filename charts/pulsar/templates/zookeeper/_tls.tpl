{{/*
TLS of the chart's own ZooKeeper (tls.zookeeper). Without it, all of these are empty.

A pod with a ZooKeeper client includes "pulsar.zookeeper.client.env", "pulsar.zookeeper.client.mount" and
"pulsar.zookeeper.client.volume", and connects to "pulsar.zookeeper.connect".
*/}}

{{- define "pulsar.zookeeper.tls" -}}
{{- if and .Values.components.zookeeper .Values.tls.zookeeper.enabled }}true{{ end -}}
{{- end }}

{{/* The port of clients, and its name in Services and network policies. */}}
{{- define "pulsar.zookeeper.clientPort" -}}
{{- include "pulsar.zookeeper.tls" . | eq "true" | ternary .Values.zookeeper.ports.clientTls .Values.zookeeper.ports.client -}}
{{- end }}

{{- define "pulsar.zookeeper.clientPort.name" -}}
client{{ if include "pulsar.zookeeper.tls" . }}-tls{{ end -}}
{{- end }}

{{/* The Secret with ca.crt, tls.crt, tls.key, and tls-combined.pem (key and certificate in one file). */}}
{{- define "pulsar.zookeeper.tls.secretName" -}}
{{- .Values.tls.zookeeper.secretName | default (printf "%s-tls" (include "pulsar.zookeeper.fullname" .)) -}}
{{- end }}

{{/* Java properties of a ZooKeeper client. */}}
{{- define "pulsar.zookeeper.client.options" -}}
{{- if include "pulsar.zookeeper.tls" . -}}
-Dzookeeper.client.secure=true -Dzookeeper.clientCnxnSocket=org.apache.zookeeper.ClientCnxnSocketNetty
{{- range $store, $file := dict "keyStore" "tls-combined.pem" "trustStore" "ca.crt" }} -Dzookeeper.ssl.{{ $store }}.location=/etc/zookeeper-tls/{{ $file }} -Dzookeeper.ssl.{{ $store }}.type=PEM{{ end -}}
{{- end -}}
{{- end }}

{{/* A variable that bin/pulsar and bin/bookkeeper pass to Java. */}}
{{- define "pulsar.zookeeper.client.env" -}}
{{- with include "pulsar.zookeeper.client.options" . }}
- {name: OPTS, value: {{ . }}}
{{- end }}
{{- end }}

{{- define "pulsar.zookeeper.client.mount" -}}
{{- if include "pulsar.zookeeper.tls" . }}
- {name: zookeeper-tls, mountPath: /etc/zookeeper-tls, readOnly: true}
{{- end }}
{{- end }}

{{/* Readable for the group, because the pod's fsGroup owns it. */}}
{{- define "pulsar.zookeeper.client.volume" -}}
{{- if include "pulsar.zookeeper.tls" . }}
- name: zookeeper-tls
  secret: {secretName: {{ include "pulsar.zookeeper.tls.secretName" . | quote }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* The environment of the program, which is a client, too. */}}
{{- define "pulsar.zookeeper.client.data" -}}
{{- if include "pulsar.zookeeper.tls" . }}
ZOOKEEPER_TLS: "true"
ZOOKEEPER_TLS_CA: /etc/zookeeper-tls/ca.crt
ZOOKEEPER_TLS_CERT: /etc/zookeeper-tls/tls.crt
ZOOKEEPER_TLS_KEY: /etc/zookeeper-tls/tls.key
{{- end }}
{{- end }}

{{/* Lines of zookeeper.conf, as JSON. The files are those that files/tls.sh copies. */}}
{{- define "pulsar.zookeeper.tls.conf" -}}
{{- $lines := dict -}}
{{- if include "pulsar.zookeeper.tls" . }}
{{- $_ := set $lines "secureClientPort" (toString .Values.zookeeper.ports.clientTls) }}
{{- $_ := set $lines "serverCnxnFactory" "org.apache.zookeeper.server.NettyServerCnxnFactory" }}
{{- $_ := set $lines "sslQuorum" "true" }}
{{- $_ := set $lines "sslQuorumReloadCertFiles" "true" }}
{{- range $prefix := list "ssl" "ssl.quorum" }}
{{- range $store, $file := dict "keyStore" "tls-combined.pem" "trustStore" "ca.crt" }}
{{- $_ := set $lines (printf "%s.%s.location" $prefix $store) (printf "/tmp/zookeeper-tls/%s" $file) }}
{{- $_ := set $lines (printf "%s.%s.type" $prefix $store) "PEM" }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $lines -}}
{{- end }}

{{/* Refuses TLS that cannot work. */}}
{{- define "pulsar.validate.zookeeper.tls" -}}
{{- $tls := .Values.tls.zookeeper }}
{{- if and $tls.enabled (not .Values.components.zookeeper) }}
{{- fail "tls.zookeeper.enabled is true, but this release starts no ZooKeeper. Set it to false. For the ensemble of another chart, set zookeeper.customTools.backup.tls" }}
{{- end }}
{{- if and $tls.enabled (not $tls.secretName) (not (($tls.certManager).issuerRef).name) }}
{{- fail "tls.zookeeper.enabled is true, but there is no certificate. Set tls.zookeeper.secretName to a Secret with ca.crt, tls.crt, tls.key and tls-combined.pem, or tls.zookeeper.certManager.issuerRef.name to an issuer of cert-manager" }}
{{- end }}
{{- end }}

{{/*
Refuses a change on a running release, because members with and without TLS cannot reach each other. Call with (dict
"root" $ "ready" number of ready members "now" the running zookeeper.conf).
*/}}
{{- define "pulsar.validate.members.tls" -}}
{{- $wanted := include "pulsar.zookeeper.tls" .root | eq "true" }}
{{- if and .ready .now (ne $wanted (contains "sslQuorum=true" .now)) }}
{{- fail (printf "tls.zookeeper.enabled is %t, and the members that run have another setting. They could not reach each other while one after the other is restarted. Set it back, or restore a backup into a new release" $wanted) }}
{{- end }}
{{- end }}
