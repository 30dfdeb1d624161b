{{/* Refuses settings of ZooKeeper that would break the chart itself, or have no effect. */}}

{{- define "pulsar.validate.conf" -}}
{{- $own := include "pulsar.zookeeper.conf.own" . | fromJson }}
{{- $relied := include "pulsar.zookeeper.conf.relied" . | fromJson }}
{{- range $name, $value := .Values.zookeeper.config }}
{{- if not (kindIs "invalid" $value) }}
{{- include "pulsar.validate.conf.name" (dict "name" $name "value" $value) }}
{{- $text := include "pulsar.number" $value | lower }}
{{- if and (hasKey $own $name) (ne $text (get $own $name | lower)) }}
{{- fail (printf "zookeeper.config.%s is set by the chart, because probes, volumes and the restore rely on it. Remove it, and set ports in zookeeper.ports" $name) }}
{{- end }}
{{- if and (hasKey $relied $name) (ne $text (get $relied $name | first)) }}
{{- fail (printf "zookeeper.config.%s cannot be set, %s. Remove it" $name (get $relied $name | last)) }}
{{- end }}
{{- end }}
{{- end }}
{{- $ports := pick .Values.zookeeper.ports "client" (include "pulsar.zookeeper.tls" . | eq "true" | ternary "clientTls" "client") "follower" "http" "leaderElection" }}
{{- include "pulsar.validate.ports" (dict "ports" $ports "config" .Values.zookeeper.config) }}
{{- include "pulsar.validate.java" .Values.zookeeper }}
{{- include "pulsar.validate.juteMaxBuffer" . }}
{{- include "pulsar.validate.environment" (dict "key" "zookeeper.configData" "values" .Values.zookeeper.configData) }}
{{- end }}

{{/* Refuses names that ZooKeeper does not read from its configuration. Call with (dict "name" key "value" value). */}}
{{- define "pulsar.validate.conf.name" -}}
{{- if regexMatch "^(server|group|weight)[.]" .name }}
{{- fail (printf "zookeeper.config.%s cannot be set, because the members keep the list of members themselves (docs/members.md). Remove it" .name) }}
{{- end }}
{{- if hasPrefix "zookeeper." .name }}
{{- fail (printf "zookeeper.config.%s has no effect, because ZooKeeper puts the prefix zookeeper before each name. Set zookeeper.config.%s" .name (trimPrefix "zookeeper." .name)) }}
{{- end }}
{{- if eq "jute.maxbuffer" .name }}
{{- fail (printf "zookeeper.config.jute.maxbuffer has no effect, because ZooKeeper reads this setting only from a Java property. Set zookeeper.juteMaxBuffer to %s" (include "pulsar.number" .value)) }}
{{- end }}
{{- if regexMatch "^((follower|leader)[.]nodelay|znode[.]container[.].*)$" .name }}
{{- fail (printf "zookeeper.config.%s has no effect, because ZooKeeper reads this setting only from a Java property. Add -D%s=%s to zookeeper.configData.PULSAR_EXTRA_OPTS" .name .name (include "pulsar.number" .value)) }}
{{- end }}
{{- end }}

{{/* Refuses a port that two listeners would share. Call with (dict "ports" ports by name "config" zookeeper.config). */}}
{{- define "pulsar.validate.ports" -}}
{{- $ports := list 9990 }}
{{- range $name, $port := .ports }}
{{- if has (int $port) $ports }}
{{- fail (printf "zookeeper.ports.%s is %d, and ZooKeeper uses this port for something else. Set another port" $name (int $port)) }}
{{- end }}
{{- $ports = append $ports (int $port) }}
{{- end }}
{{- range $name := list "metricsProvider.httpsPort" "observerMasterPort" "secureClientPort" }}
{{- $port := index ($.config | default dict) $name | toString | int }}
{{- if has $port $ports }}
{{- fail (printf "zookeeper.config.%s is %d, and ZooKeeper uses this port for something else. Set another port" $name $port) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses Java properties and variables that the scripts and probes of the members rely on. */}}
{{- define "pulsar.validate.java" -}}
{{- $environment := printf "%s %s" (toJson .configData) (toJson .extraEnv) }}
{{- $property := regexFind "zookeeper[.](admin|DigestAuthenticationProvider)[.][A-Za-z]+|zookeeper[.](db[.]autocreate|leaderServes)|readonlymode[.]enabled" $environment }}
{{- if $property }}
{{- fail (printf "zookeeper.configData or zookeeper.extraEnv sets the Java property %s, which the members need as the chart sets it. Remove the property" $property) }}
{{- end }}
{{- $names := list }}
{{- range $name, $value := .configData }}
{{- if not (kindIs "invalid" $value) }}{{ $names = append $names $name }}{{ end }}
{{- end }}
{{- range .extraEnv }}
{{- $names = append $names .name }}
{{- end }}
{{- range $name := $names }}
{{- if has $name (list "POD_NAME" "PULSAR_ZK_CONF" "ZOOKEEPER_DATA" "ZOOKEEPER_DATA_LOG" "ZOOKEEPER_TLS") }}
{{- fail (printf "zookeeper.configData or zookeeper.extraEnv sets %s, which the chart sets itself. Remove it" $name) }}
{{- end }}
{{- $setting := trimPrefix "PULSAR_PREFIX_" $name }}
{{- if include "pulsar.isSetting" $name }}
{{- fail (printf "zookeeper.configData or zookeeper.extraEnv sets %s, which has no effect, because they are the environment of bin/pulsar. Set zookeeper.config.%s" $name $setting) }}
{{- end }}
{{- end }}
{{- end }}
