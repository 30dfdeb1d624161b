{{/* Other places that keep a copy of each backup. Call each with the root, unless it says otherwise. */}}

{{/* The places as the program reads them. A setting that is null counts as unset. */}}
{{- define "pulsar.copies" -}}
{{- $places := list }}
{{- range $index, $copy := .Values.zookeeper.customTools.backup.copies }}
{{- $parts := list $copy.bucket }}
{{- $keys := "" }}
{{- if $copy.secretName }}
{{- $keys = printf "/etc/copy-keys/%d" $index }}
{{- end }}
{{- $own := dict "AWS_ENDPOINT_URL_S3" $copy.endpoint "AWS_REGION" $copy.region "S3_CREDENTIALS_DIR" $keys }}
{{- range $name, $value := merge (dict) ($copy.settings | default dict) $own }}
{{- if not (kindIs "invalid" $value) }}
{{- if or (hasKey ($copy.settings | default dict) $name) (ne "" (toString $value)) }}
{{- $parts = append $parts (printf "%s=%s" $name (include "pulsar.number" $value)) }}
{{- end }}
{{- end }}
{{- end }}
{{- $places = append $places (join ";" $parts) }}
{{- end }}
{{- join "," $places }}
{{- end }}

{{- define "pulsar.copies.mounts" -}}
{{- range $index, $copy := .Values.zookeeper.customTools.backup.copies }}
{{- if $copy.secretName }}
- {name: copy-keys-{{ $index }}, mountPath: /etc/copy-keys/{{ $index }}, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.copies.volumes" -}}
{{- range $index, $copy := .Values.zookeeper.customTools.backup.copies }}
{{- if $copy.secretName }}
- name: copy-keys-{{ $index }}
  {{- include "pulsar.tool.keys" (dict "root" $ "secretName" $copy.secretName) | nindent 2 }}
{{- end }}
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
