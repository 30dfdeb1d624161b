{{/* The init container of each ZooKeeper pod. It runs as ZooKeeper's user, who must be able to write what it places. */}}
{{- define "pulsar.restore.container" -}}
{{- $restore := .Values.zookeeper.customTools.restore -}}
- name: {{ $restore.component }}
  {{- include "pulsar.tool.image" (dict "root" . "tool" "restore") | nindent 2 }}
  args: [restore]
  {{- include "pulsar.tool.environment" (dict "root" . "tool" "restore") | nindent 2 }}
  resources: {{- toYaml $restore.resources | nindent 4 }}
  securityContext: {{- include "pulsar.containerSecurity" . | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError  # so that `kubectl describe pod` says why, too
  volumeMounts:
    - {name: data, mountPath: /pulsar/data/zookeeper}
    - {name: spool, mountPath: /tmp}
    {{- with $restore.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
