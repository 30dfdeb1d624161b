{{/* Other places that keep a copy of each backup. Call each with the root, unless it says otherwise. */}}

{{/* The places as the program reads them. */}}
{{- define "pulsar.copies" -}}
{{- $places := list }}
{{- range $index, $copy := .Values.zookeeper.customTools.backup.copies }}
{{- $places = append $places (include "pulsar.copies.place" (dict "index" $index "copy" $copy)) }}
{{- end }}
{{- join "," $places }}
{{- end }}

{{/* One place. A setting that is null counts as unset. Call with (dict "index" number "copy" place). */}}
{{- define "pulsar.copies.place" -}}
{{- $copy := .copy }}
{{- $parts := list $copy.bucket }}
{{- $keys := "" }}
{{- if $copy.secretName }}
{{- $keys = printf "/etc/copy-keys/%d" (int .index) }}
{{- end }}
{{- $own := dict "AWS_ENDPOINT_URL_S3" $copy.endpoint "AWS_REGION" $copy.region "S3_CREDENTIALS_DIR" $keys }}
{{- range $name, $value := merge (dict) ($copy.settings | default dict) $own }}
{{- if not (kindIs "invalid" $value) }}
{{- if or (hasKey ($copy.settings | default dict) $name) (ne "" (toString $value)) }}
{{- $parts = append $parts (printf "%s=%s" $name (include "pulsar.number" $value)) }}
{{- end }}
{{- end }}
{{- end }}
{{- join ";" $parts }}
{{- end }}

{{- define "pulsar.copies.mounts" -}}
{{- range $index, $copy := .Values.zookeeper.customTools.backup.copies }}
{{- include "pulsar.copies.mount" (dict "index" $index "copy" $copy) }}
{{- end }}
{{- end }}

{{/* Call with (dict "index" number "copy" place). */}}
{{- define "pulsar.copies.mount" -}}
{{- if .copy.secretName }}
- {name: copy-keys-{{ int .index }}, mountPath: /etc/copy-keys/{{ int .index }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "pulsar.copies.volumes" -}}
{{- range $index, $copy := .Values.zookeeper.customTools.backup.copies }}
{{- include "pulsar.copies.volume" (dict "root" $ "index" $index "copy" $copy) }}
{{- end }}
{{- end }}

{{/* Call with (dict "root" $ "index" number "copy" place). */}}
{{- define "pulsar.copies.volume" -}}
{{- if .copy.secretName }}
- name: copy-keys-{{ int .index }}
  {{- include "pulsar.tool.keys" (dict "root" .root "secretName" .copy.secretName) | nindent 2 }}
{{- end }}
{{- end }}

{{/*
The place that a restore reads, as JSON of a dict for the templates above, so that it needs no settings and keys besides.
Empty if it reads another place than a copy's.
*/}}
{{- define "pulsar.copies.restored" -}}
{{- $restore := .Values.zookeeper.customTools.restore }}
{{- $point := $restore.restorePoint | default "" }}
{{- $read := eq $point "latest" | ternary $restore.bucket (regexReplaceAll "/[^/]*$" $point "") }}
{{- range $index, $copy := .Values.zookeeper.customTools.backup.copies }}
{{- if eq (include "pulsar.copies.address" $read) (include "pulsar.copies.address" $copy.bucket) }}
{{- dict "index" $index "copy" $copy | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{/* Two texts of one place become the same. */}}
{{- define "pulsar.copies.address" -}}
{{- trimSuffix "/" . | replace "s3://" "s3a://" }}
{{- end }}

{{- define "pulsar.copies.restored.data" -}}
{{- with include "pulsar.copies.restored" . }}
BACKUP_COPIES: {{ include "pulsar.copies.place" (fromJson .) | quote }}
{{- end }}
{{- end }}

{{- define "pulsar.copies.restored.mount" -}}
{{- with include "pulsar.copies.restored" . }}
{{- include "pulsar.copies.mount" (fromJson .) }}
{{- end }}
{{- end }}

{{- define "pulsar.copies.restored.volume" -}}
{{- with include "pulsar.copies.restored" . }}
{{- include "pulsar.copies.volume" (merge (dict "root" $) (fromJson .)) }}
{{- end }}
{{- end }}

{{/* Call with the list. */}}
{{- define "pulsar.validate.copies" -}}
{{- $program := include "pulsar.program" . | fromJson }}
{{- range $index, $copy := . }}
{{- $key := printf "zookeeper.customTools.backup.copies[%d]" $index }}
{{- include "pulsar.validate.bucket" (dict "key" $key "bucket" $copy.bucket) }}
{{- if contains "," $copy.bucket }}
{{- fail (printf "%s.bucket has a comma, which a place of copies cannot have. Use another path" $key) }}
{{- end }}
{{- if and $copy.endpoint (not (regexMatch "^https?://[^/ ,;]+(/[^ ,;]*)?$" $copy.endpoint)) }}
{{- fail (printf "%s.endpoint is %q. Set it to https://<host>[:<port>]" $key $copy.endpoint) }}
{{- end }}
{{- range $name, $value := $copy.settings }}
{{- if not (has $name $program.of_a_copy) }}
{{- fail (printf "%s.settings.%s does not exist. Use some of %s" $key $name (join ", " $program.of_a_copy)) }}
{{- end }}
{{- if regexMatch "[,;]" (toString $value) }}
{{- fail (printf "%s.settings.%s has a comma or a semicolon. Remove it" $key $name) }}
{{- end }}
{{- end }}
{{- include "pulsar.validate.variables" (dict "key" (printf "%s.settings" $key) "values" $copy.settings) }}
{{- end }}
{{- end }}
