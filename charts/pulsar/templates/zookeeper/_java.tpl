{{/* Java properties of the members. bin/pulsar sets some of them itself, before those of PULSAR_EXTRA_OPTS. */}}

{{/* The environment of bin/pulsar, as JSON. Of a property that is set twice, Java takes the last. */}}
{{- define "pulsar.zookeeper.environment" -}}
{{- $own := .Values.zookeeper.configData | default dict -}}
{{- with include "pulsar.zookeeper.juteMaxBuffer.own" . }}
{{- $options := printf "%s -Djute.maxbuffer=%s" (get $own "PULSAR_EXTRA_OPTS" | default "") . | trim }}
{{- $own = merge (dict "PULSAR_EXTRA_OPTS" $options) $own }}
{{- end }}
{{- toJson $own }}
{{- end }}

{{/* zookeeper.juteMaxBuffer as text. Empty if it is not set. */}}
{{- define "pulsar.zookeeper.juteMaxBuffer.own" -}}
{{- with .Values.zookeeper.juteMaxBuffer }}{{ include "pulsar.number" . }}{{ end -}}
{{- end }}

{{/* The option -Djute.maxbuffer that is in force in configData and extraEnv. Empty if neither has one. */}}
{{- define "pulsar.zookeeper.juteMaxBuffer.option" -}}
{{- $variables := deepCopy (.Values.zookeeper.configData | default dict) -}}
{{- range .Values.zookeeper.extraEnv }}
{{- $_ := set $variables .name (.value | default "") }}
{{- end }}
{{- $options := list }}
{{- range $name := list "PULSAR_MEM" "PULSAR_GC" "PULSAR_GC_LOG" "PULSAR_EXTRA_OPTS" }}
{{- $options = append $options (get $variables $name | default "" | toString) }}
{{- end }}
{{- regexFindAll "-Djute[.]maxbuffer=[0-9A-Fa-fxX]+" (join " " $options) -1 | last | default "" -}}
{{- end }}

{{/* The members' jute.maxbuffer, within the program's limits. bin/pulsar sets 10485760. */}}
{{- define "pulsar.zookeeper.juteMaxBuffer" -}}
{{- $limits := (include "pulsar.program" . | fromJson).numbers.JUTE_MAXBUFFER -}}
{{- $option := include "pulsar.zookeeper.juteMaxBuffer.option" . | trimPrefix "-Djute.maxbuffer=" -}}
{{- $set := include "pulsar.zookeeper.juteMaxBuffer.own" . | default $option | default "10485760" -}}
{{- int64 $set | max (int64 $limits.low) | min (int64 $limits.high) -}}
{{- end }}

{{/* Refuses a limit of znodes that would not be in force. */}}
{{- define "pulsar.validate.juteMaxBuffer" -}}
{{- with include "pulsar.zookeeper.juteMaxBuffer.own" . }}
{{- include "pulsar.validate.number" (dict "key" "zookeeper.juteMaxBuffer" "value" . "variable" "JUTE_MAXBUFFER") }}
{{- if include "pulsar.zookeeper.juteMaxBuffer.option" $ }}
{{- fail "zookeeper.juteMaxBuffer is set, but zookeeper.configData or zookeeper.extraEnv sets the Java property jute.maxbuffer, too. Remove the property" }}
{{- end }}
{{- range $.Values.zookeeper.extraEnv }}
{{- if eq .name "PULSAR_EXTRA_OPTS" }}
{{- fail "zookeeper.juteMaxBuffer has no effect, because zookeeper.extraEnv sets PULSAR_EXTRA_OPTS. Set PULSAR_EXTRA_OPTS in zookeeper.configData" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
