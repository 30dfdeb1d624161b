{{/* The environment of the put-back: its brokers, the restored ensemble, and the object store of the restore. */}}
{{- define "pulsar.putBack.data" -}}
{{- $restore := .Values.zookeeper.customTools.restore -}}
{{- $chroot := $restore.chroot | default .Values.zookeeper.customTools.backup.chroot | default "" -}}
SPOOL_DIR: /tmp
{{- include "pulsar.copies.restored.data" . }}
ZOOKEEPER_SERVERS: {{ printf "%s%s" (include "pulsar.zookeeper.connect" .) $chroot | quote }}
{{- include "pulsar.zookeeper.client.data" . }}
{{- include "pulsar.brokers.data" (dict "root" . "login" $restore.putBack) }}
{{- include "pulsar.tool.data" (dict "root" . "tool" "restore") | nindent 0 }}
{{- end }}

{{/*
The Job. If the Job of this restore has succeeded, it stays as it is, because a later run would bring back what was
deleted since. Call with (dict "root" $ "jobs" the Jobs of the namespace, as the cluster has them).
*/}}
{{- define "pulsar.putBack.job" -}}
{{- $this := dict "release" .root.Release.Name "component" "put-back" "restore-version" (include "pulsar.number" .root.Values.zookeeper.customTools.restore.restoreVersion) -}}
{{- $own := dict "root" .root "component" "put-back" "labels" (include "pulsar.restore.labels" .root | fromYaml) -}}
{{- $state := dict "done" dict -}}
{{- range .jobs }}
{{- $found := merge (dict) (.spec.template.metadata.labels | default dict) (.spec.template.metadata.annotations | default dict) }}
{{- if and (.status).succeeded (deepEqual $this (pick $found "release" "component" "restore-version")) }}
{{- $_ := set $state "done" . }}
{{- end }}
{{- end }}
{{- with $state.done -}}
apiVersion: batch/v1
kind: Job
metadata: {{- include "pulsar.metadata" (merge (dict "name" .metadata.name) $own) | nindent 2 }}
spec: {{- toYaml .spec | nindent 2 }}
{{- else -}}
{{- include "pulsar.job" (merge (dict "spec" (include "pulsar.putBack.spec" .root) "more" (list (include "pulsar.putBack.data" .root))) $own) }}
{{- end }}
{{- end }}

{{- define "pulsar.putBack.spec" -}}
{{- $zookeeper := .Values.zookeeper -}}
{{- $restore := $zookeeper.customTools.restore -}}
{{- $tool := dict "root" . "tool" "restore" -}}
{{- $brokers := dict "root" . "login" $restore.putBack -}}
{{- $component := dict "root" . "component" "put-back" -}}
backoffLimit: 1000  # an operator may have to act first, for example on a wrong token
activeDeadlineSeconds: {{ $restore.putBack.deadlineSeconds | int64 }}
template:
  metadata:
    labels: {{- include "pulsar.podLabels" $component | nindent 6 }}
    annotations:
      restore-version: {{ include "pulsar.number" $restore.restoreVersion | quote }}
  spec:
    {{- include "pulsar.pullSecrets" . | nindent 4 }}
    {{- include "pulsar.scheduling" (merge (dict "values" .Values.pulsar_metadata) $component) | nindent 4 }}
    {{- include "pulsar.tool.account" . | nindent 4 }}
    automountServiceAccountToken: false
    restartPolicy: OnFailure
    securityContext: {{- include "pulsar.yaml" $zookeeper.securityContext | nindent 6 }}
    containers:
      - name: put-back
        {{- include "pulsar.tool.image" $tool | nindent 8 }}
        command: [bash, -c, {{ list (.Files.Get "files/workload.sh") (.Files.Get "files/put_back.sh") | join "\n" | toJson }}, put_back.sh]
        args:
          - put-back
          {{- range $restore.putBack.replaceSchemas }}
          - --replace-schemas
          - {{ . | quote }}
          {{- end }}
        {{- include "pulsar.tool.environment" (merge (dict "configMap" (include "pulsar.putBack.fullname" .) "more" (include "pulsar.encryption.reader.env" $restore.encryption | trim)) $tool) | nindent 8 }}
        resources: {{- toYaml $restore.putBack.resources | nindent 10 }}
        securityContext: {{- include "pulsar.containerSecurity" .Values.pulsar_metadata | nindent 10 }}
        terminationMessagePolicy: FallbackToLogsOnError  # so that `kubectl describe pod` says why, too
        volumeMounts:
          - {name: spool, mountPath: /tmp}
          {{- with include "pulsar.zookeeper.client.mount" . }}
          {{- . | nindent 10 }}
          {{- end }}
          {{- include "pulsar.tool.mounts" $tool | nindent 10 }}
          {{- include "pulsar.copies.restored.mount" . | nindent 10 }}
          {{- include "pulsar.brokers.mounts" $brokers | nindent 10 }}
          {{- include "pulsar.encryption.reader.mounts" $restore.encryption | nindent 10 }}
          {{- with $restore.extraVolumeMounts }}
          {{- include "pulsar.yaml" . | nindent 10 }}
          {{- end }}
    volumes:
      - name: spool
        emptyDir: {sizeLimit: {{ $restore.spoolSize }}}
      {{- with include "pulsar.zookeeper.client.volume" . }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- include "pulsar.tool.volumes" $tool | nindent 6 }}
      {{- include "pulsar.copies.restored.volume" . | nindent 6 }}
      {{- include "pulsar.brokers.volumes" $brokers | nindent 6 }}
      {{- include "pulsar.encryption.reader.volumes" $restore.encryption | nindent 6 }}
      {{- with $zookeeper.extraVolumes }}
      {{- include "pulsar.yaml" . | nindent 6 }}
      {{- end }}
{{- end }}
