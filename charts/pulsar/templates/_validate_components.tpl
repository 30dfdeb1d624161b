{{/* Refuses values of BookKeeper, brokers, proxies and the toolset that cannot work. */}}

{{- define "pulsar.validate.components" -}}
{{- $root := . }}
{{- range $key := list "bookkeeper" "broker" "proxy" "toolset" }}
{{- if get $root.Values.components $key }}
{{- $values := index $root.Values $key }}
{{- include "pulsar.validate.podSpec" (dict "key" $key "values" $values) }}
{{- include "pulsar.validate.settings" (dict "root" $root "key" $key) }}
{{- include "pulsar.validate.components.ports" (dict "key" $key "ports" (include "pulsar.workload.ports" (dict "root" $root "key" $key) | fromJson)) }}
{{- include "pulsar.validate.components.tls" (dict "key" $key "values" $values) }}
{{- include "pulsar.validate.components.ensemble" (dict "root" $root "key" $key "values" $values) }}
{{- end }}
{{- end }}
{{- if .Values.components.bookkeeper }}
{{- $name := include "pulsar.workload.fullname" (dict "root" . "key" "bookkeeper") }}
{{- $running := lookup "apps/v1" "StatefulSet" (include "pulsar.namespace" .) $name }}
{{- include "pulsar.validate.volumes" (dict "root" . "key" "bookkeeper" "name" $name "found" $running) }}
{{- include "pulsar.validate.bookies" (dict "root" . "found" $running) }}
{{- $found := lookup "v1" "ConfigMap" (include "pulsar.namespace" .) $name }}
{{- $restored := lookup "apps/v1" "StatefulSet" (include "pulsar.namespace" .) (include "pulsar.zookeeper.fullname" .) }}
{{- include "pulsar.validate.hold" (dict "root" . "found" $found "restored" $restored) }}
{{- end }}
{{- if .Values.components.broker }}
{{- include "pulsar.validate.offload" . }}
{{- include "pulsar.validate.quorums" . }}
{{- end }}
{{- end }}

{{/*
Refuses to remove several bookies at once, because all copies of a ledger could be on them. Call with (dict "root" $ "found"
the StatefulSet as the cluster has it, or empty).
*/}}
{{- define "pulsar.validate.bookies" -}}
{{- $now := int (((.found).spec).replicas) }}
{{- $wanted := int .root.Values.bookkeeper.replicaCount }}
{{- if gt (sub $now $wanted) 1 }}
{{- fail (printf "bookkeeper.replicaCount is %d, and %d bookies run. Ledgers whose copies are all on removed bookies could not be read. Set it to %d, and decommission that bookie before you remove the next one. See Bookies in docs/pulsar.md" $wanted $now (sub $now 1)) }}
{{- end }}
{{- end }}

{{/* Refuses more bookies for a ledger than there are, because no broker could write. */}}
{{- define "pulsar.validate.quorums" -}}
{{- $bookies := int .Values.bookkeeper.replicaCount }}
{{- range $name, $value := .Values.broker.configData }}
{{- if and $.Values.components.bookkeeper (eq (trimPrefix "PULSAR_PREFIX_" $name) "managedLedgerDefaultEnsembleSize") (gt (include "pulsar.number" $value | atoi) $bookies) }}
{{- fail (printf "broker.configData.%s is %s, but bookkeeper.replicaCount is %d, so topics could not write. Set it to %d at most" $name (include "pulsar.number" $value) $bookies $bookies) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Refuses settings that the chart sets itself, and secrets. Call as "pulsar.workload". A bookie whose id or journal changed
would come back without its data.
*/}}
{{- define "pulsar.validate.settings" -}}
{{- $own := include (printf "pulsar.%s.settings" .key) .root | fromJson }}
{{- $free := list "configurationMetadataStoreUrl" "managedLedgerDefaultEnsembleSize" "managedLedgerDefaultWriteQuorum" "managedLedgerDefaultAckQuorum" "brokerServiceUrl" "webServiceUrl" "brokerServiceURL" "brokerWebServiceURL" }}
{{- $ids := list "bookieId" "advertisedAddress" "useShortHostName" "journalDirectories" }}
{{- $ports := list "brokerServicePortTls" "servicePortTls" "webServicePortTls" }}
{{- range ternary $ids $ports (eq .key "bookkeeper") }}
{{- $_ := set $own . (get $own . | default "") }}
{{- end }}
{{- $hold := eq .key "bookkeeper" | ternary (include "pulsar.bookkeeper.hold" .root | fromJson) dict }}
{{- range (index .root.Values .key).extraEnv }}
{{- $setting := trimPrefix "PULSAR_PREFIX_" .name }}
{{- if and (ne $setting .name) (or (hasKey $own $setting) (hasKey $hold $setting)) (not (has $setting $free)) }}
{{- fail (printf "%s.extraEnv sets %s, which the chart sets from other values. Remove it" $.key .name) }}
{{- end }}
{{- end }}
{{- range $name, $value := (index .root.Values .key).configData }}
{{- $setting := trimPrefix "PULSAR_PREFIX_" $name }}
{{- $text := include "pulsar.number" $value }}
{{- if and (hasKey $own $setting) (not (has $setting $free)) (not (kindIs "invalid" $value)) (ne $text (get $own $setting)) }}
{{- fail (printf "%s.configData.%s is set by the chart from other values. Remove it" $.key $name) }}
{{- end }}
{{- if and (regexMatch "(?i)(password|secret|secretkey|credential|access_?key|basicauthconf|token|authenticationparameters|authparams)$" $setting) $text (not (include "pulsar.namesFiles" (dict "setting" $setting "text" $text))) (not (kindIs "invalid" $value)) (not (has $text (list "true" "false"))) }}
{{- $other := ternary "" (printf ", or use extraEnv with the name PULSAR_PREFIX_%s and a secretKeyRef" $setting) (eq $.key "toolset") }}
{{- fail (printf "%s.configData.%s is a secret, and would be stored in a ConfigMap. Set it to a file from a Secret in extraVolumes%s" $.key $name $other) }}
{{- end }}
{{- if contains "\n" ($text | trim) }}
{{- fail (printf "%s.configData.%s has several lines. Set it to one line" $.key $name) }}
{{- end }}
{{- end }}
{{- include "pulsar.validate.environment" (dict "key" (printf "%s.configData" .key) "values" (index .root.Values .key).configData) }}
{{- end }}

{{/*
Whether the value of a setting for secrets only says where they are, such as the parameters of a login by certificates.
Call with (dict "setting" name "text" value). Nothing if it may be a secret.
*/}}
{{- define "pulsar.namesFiles" -}}
{{- $login := regexMatch "(?i)(parameters|params)$" .setting -}}
{{- $secret := regexMatch "(?i)(password|secret|token)\"?\\s*:|data:" .text -}}
{{- if or (regexMatch "^(file:|/|[^:]*:file:|tokenFile:)" .text) (and $login (not $secret) (regexMatch "^([{]|tls(Cert|Key)File:)" .text)) -}}
true
{{- end -}}
{{- end }}

{{/* Refuses a port with TLS without a certificate, because no pod would start. */}}
{{- define "pulsar.validate.components.tls" -}}
{{- $certificate := or .values.extraEnv .values.extraEnvFrom }}
{{- range $name, $value := .values.configData }}
{{- if and $value (regexMatch "^(PULSAR_PREFIX_)?tls(CertificateFilePath|KeyStore)$" $name) }}{{ $certificate = true }}{{ end }}
{{- end }}
{{- range $name := list "pulsarssl" "https" }}
{{- if and (get ($.values.ports | default dict) $name) (not $certificate) }}
{{- fail (printf "%s.ports.%s is set, but %s.configData has no tlsCertificateFilePath. Set tlsCertificateFilePath to a file from a Secret, or leave the port empty" $.key $name $.key) }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Refuses pods that would speak to an ensemble of another chart without TLS, if that has TLS. Their options of Java are the
user's, because the Secret is that of the other chart.
*/}}
{{- define "pulsar.validate.components.ensemble" -}}
{{- $tls := (.root.Values.zookeeper.customTools.backup.tls | default dict).enabled }}
{{- $options := toJson (list .values.configData .values.extraEnv) }}
{{- if and $tls (ne .key "proxy") (not .values.extraEnvFrom) (not (contains "zookeeper.client.secure=true" $options)) }}
{{- fail (printf "zookeeper.customTools.backup.tls.enabled is true, but %s.configData.OPTS has no options for TLS to ZooKeeper. Set it to those in docs/kubernetes.md (TLS of ZooKeeper), and mount the certificate by %s.extraVolumes" .key .key) }}
{{- end }}
{{- end }}

{{/* Refuses a port that two listeners would share. */}}
{{- define "pulsar.validate.components.ports" -}}
{{- $seen := dict }}
{{- range $name, $port := .ports }}
{{- if hasKey $seen (toString $port) }}
{{- fail (printf "%s.ports.%s and %s.ports.%s are both %d. Set another port" $.key (get $seen (toString $port)) $.key $name (int $port)) }}
{{- end }}
{{- $_ := set $seen (toString $port) $name }}
{{- end }}
{{- end }}
