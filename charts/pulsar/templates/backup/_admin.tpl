{{/* The token of the admin port, and the address of the heartbeat. Call each with the root. */}}

{{/* Where the token is mounted. Unlike a variable, a file changes in a running pod. Empty: there is no token. */}}
{{- define "pulsar.backup.adminToken.file" -}}
{{- if (.Values.zookeeper.customTools.backup.adminToken).secretName }}/etc/admin-token/token{{ end -}}
{{- end }}

{{- define "pulsar.backup.adminToken.mount" -}}
{{- with include "pulsar.backup.adminToken.file" . }}
- {name: admin-token, mountPath: {{ dir . }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "pulsar.backup.adminToken.volume" -}}
{{- if include "pulsar.backup.adminToken.file" . }}
{{- with .Values.zookeeper.customTools.backup.adminToken }}
- name: admin-token
  secret: {secretName: {{ .secretName | quote }}, defaultMode: 0440, items: [{key: {{ .key | default "token" | quote }}, path: token}]}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.backup.heartbeat.env" -}}
{{- with .Values.zookeeper.customTools.backup.heartbeat }}
{{- if .secretName }}
- name: HEARTBEAT_URL
  valueFrom: {secretKeyRef: {name: {{ .secretName | quote }}, key: {{ .key | default "url" | quote }}}}
{{- end }}
{{- end }}
{{- end }}
