{{/*
Whether there are Jobs. There are if `initialize` is set, or if earlier Jobs have not succeeded, because an upgrade
without `initialize` must not stop them half-way.
*/}}
{{- define "pulsar.initialize.wanted" -}}
{{- $state := dict "wanted" .Values.initialize }}
{{- range (lookup "batch/v1" "Job" (include "pulsar.namespace" .) "").items }}
{{- $labels := .metadata.labels | default dict }}
{{- if and (eq (get $labels "release") $.Release.Name) (has (get $labels "component") (list "bookie-init" "init")) (not ((.status).succeeded)) }}
{{- $_ := set $state "wanted" true }}
{{- end }}
{{- end }}
{{- $state.wanted }}
{{- end }}

{{/* A Job that initialises. Call as "pulsar.selector". */}}
{{- define "pulsar.initialize.job" -}}
{{- include "pulsar.job" (merge (dict "spec" (include "pulsar.initialize.spec" .) "more" (list (include "pulsar.initialize.data" .root))) .) }}
{{- end }}

{{- define "pulsar.initialize.spec" -}}
{{- $zookeeper := .root.Values.zookeeper -}}
backoffLimit: 1000  # ZooKeeper may wait for an operator, for example because of a wrong restore point
template:
  metadata:
    labels: {{- include "pulsar.podLabels" . | nindent 6 }}
  spec:
    {{- include "pulsar.pullSecrets" .root | nindent 4 }}
    {{- include "pulsar.scheduling" (merge (dict "values" .root.Values.pulsar_metadata) .) | nindent 4 }}
    restartPolicy: OnFailure
    automountServiceAccountToken: false
    securityContext: {{- include "pulsar.yaml" $zookeeper.securityContext | nindent 6 }}
    containers:
      - name: {{ .component }}
        {{- include "pulsar.zookeeper.image" .root | nindent 8 }}
        workingDir: /pulsar
        command: [bash, /etc/initialize/{{ .component }}.sh]
        env:
          - {name: BOOKIE_CONF, value: /etc/initialize/bookkeeper.conf}
          - {name: PULSAR_MEM, value: {{ .root.Values.pulsar_metadata.memory | quote }}}
          - {name: BOOKIE_MEM, value: {{ .root.Values.pulsar_metadata.memory | quote }}}
          {{- with include "pulsar.zookeeper.client.env" .root }}
          {{- . | nindent 10 }}
          {{- end }}
          {{- with .root.Values.pulsar_metadata.extraEnv }}
          {{- include "pulsar.yaml" . | nindent 10 }}
          {{- end }}
        resources: {{- toYaml .root.Values.pulsar_metadata.resources | nindent 10 }}
        securityContext: {{- include "pulsar.containerSecurity" .root.Values.pulsar_metadata | nindent 10 }}
        volumeMounts:
          - {name: config, mountPath: /etc/initialize}
          - {name: logs, mountPath: /pulsar/logs}
          - {name: tmp, mountPath: /tmp}
          {{- with include "pulsar.zookeeper.client.mount" .root }}
          {{- . | nindent 10 }}
          {{- end }}
    volumes:
      - name: config
        configMap: {name: {{ include "pulsar.fullname" .root }}-initialize}
      - {name: logs, emptyDir: {}}
      - {name: tmp, emptyDir: {}}
      {{- with include "pulsar.zookeeper.client.volume" .root }}
      {{- . | nindent 6 }}
      {{- end }}
{{- end }}
