{{/*
What BookKeeper, brokers, proxies and the toolset have in common. Call each with (dict "root" $ "key" key), in which the
key is that of the values, such as "broker". "pulsar.<key>.settings" has the component's lines of configuration, as JSON.
*/}}

{{- define "pulsar.workload.fullname" -}}
{{- include "pulsar.fullname" .root }}-{{ (index .root.Values .key).component }}
{{- end }}

{{- define "pulsar.workload.headless" -}}
{{- include "pulsar.workload.fullname" . }}-headless
{{- end }}

{{/*
The environment of bin/pulsar, as JSON: what is not a setting in configData. Clients of ZooKeeper need its limit of znodes,
too. PULSAR_EXTRA_OPTS has Pulsar's own default then, because the variable replaces that.
*/}}
{{- define "pulsar.workload.environment" -}}
{{- $found := dict -}}
{{- range $name, $value := (index .root.Values .key).configData }}
{{- if and (not (include "pulsar.isSetting" $name)) (not (kindIs "invalid" $value)) }}
{{- $_ := set $found $name (include "pulsar.number" $value) }}
{{- end }}
{{- end }}
{{- with include "pulsar.zookeeper.juteMaxBuffer.own" .root }}
{{- $options := get $found "PULSAR_EXTRA_OPTS" | default "-Dpulsar.allocator.exit_on_oom=true -Dio.netty.recycler.maxCapacityPerThread=4096" }}
{{- $_ := set $found "PULSAR_EXTRA_OPTS" (printf "%s -Djute.maxbuffer=%s" $options .) }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/* The lines of a configuration file: the chart's, and those of configData over them. */}}
{{- define "pulsar.workload.conf" -}}
{{- $settings := include (printf "pulsar.%s.settings" .key) .root | fromJson -}}
{{- range $name, $value := (index .root.Values .key).configData }}
{{- if and (include "pulsar.isSetting" $name) (not (kindIs "invalid" $value)) }}
{{- $_ := set $settings (trimPrefix "PULSAR_PREFIX_" $name) (include "pulsar.number" $value) }}
{{- end }}
{{- end }}
{{- if eq .key "bookkeeper" }}
{{- $settings = merge (include "pulsar.bookkeeper.hold" .root | fromJson) $settings }}
{{- end }}
{{- range $name, $value := $settings }}
{{ $name }}={{ $value }}
{{- end }}
{{- end }}

{{/* The files of a component, below /etc/pulsar: its configuration and its scripts. */}}
{{- define "pulsar.workload.files" -}}
{{- $conf := get (dict "bookkeeper" "bookkeeper.conf" "broker" "broker.conf" "proxy" "proxy.conf" "toolset" "client.conf") .key -}}
{{ $conf }}: | {{- include "pulsar.workload.conf" . | nindent 2 }}
{{- range list "workload.sh" (printf "%s.sh" .key) }}
{{ . }}: | {{- $.root.Files.Get (printf "files/%s" .) | nindent 2 }}
{{- end }}
{{- if eq .key "toolset" }}
bookkeeper.conf: |
  metadataServiceUri=metadata-store:zk:{{ include "pulsar.zookeeper.connect" .root }}
{{- end }}
{{- end }}

{{- define "pulsar.workload.configmaps" -}}
{{- $name := include "pulsar.workload.fullname" . -}}
{{- $component := dict "root" .root "component" (index .root.Values .key).component -}}
apiVersion: v1
kind: ConfigMap
metadata: {{- include "pulsar.metadata" (merge (dict "name" $name) $component) | nindent 2 }}
data: {{- include "pulsar.workload.files" . | nindent 2 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {{- include "pulsar.metadata" (merge (dict "name" (printf "%s-env" $name)) $component) | nindent 2 }}
data: {{- include "pulsar.workload.environment" . | fromJson | include "pulsar.configData" | nindent 2 }}
{{- end }}

{{/* A PodDisruptionBudget. */}}
{{- define "pulsar.workload.pdb" -}}
{{- $values := index .root.Values .key -}}
{{- $component := dict "root" .root "component" $values.component -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "pulsar.metadata" (merge (dict "name" (include "pulsar.workload.fullname" .)) $component) | nindent 2 }}
spec:
  maxUnavailable: {{ $values.pdb.maxUnavailable }}
  {{- if and $values.pdb.unhealthyPodEvictionPolicy (semverCompare ">=1.26-0" .root.Capabilities.KubeVersion.Version) }}
  unhealthyPodEvictionPolicy: {{ $values.pdb.unhealthyPodEvictionPolicy }}
  {{- end }}
  selector:
    matchLabels: {{- include "pulsar.selector" $component | nindent 6 }}
{{- end }}

{{/* Names and numbers of the ports of `ports` that are set, as JSON. */}}
{{- define "pulsar.workload.ports" -}}
{{- $found := dict -}}
{{- range $name, $port := (index .root.Values .key).ports }}
{{- if $port }}{{ $_ := set $found $name (int $port) }}{{ end }}
{{- end }}
{{- toJson $found }}
{{- end }}

{{/*
A Service with all ports of a component. Call also with "name", and with "spec", more fields as YAML. With "annotations",
too, if there are any.
*/}}
{{- define "pulsar.workload.service" -}}
{{- $component := dict "root" .root "component" (index .root.Values .key).component -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "pulsar.metadata" (merge (dict "name" .name) $component) | nindent 2 }}
  {{- with .annotations }}
  annotations: {{- include "pulsar.texts" . | nindent 4 }}
  {{- end }}
spec:
  {{- .spec | nindent 2 }}
  selector: {{- include "pulsar.selector" $component | nindent 4 }}
  ports:
    {{- range $name, $port := include "pulsar.workload.ports" . | fromJson }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}}
    {{- end }}
{{- end }}

{{/*
A NetworkPolicy. Call also with "clients", the keys of the components that connect, and "more", names of others. Other
clients of brokers and proxies are those of networkPolicy.clients, and so are those of bookies if another chart runs the
brokers.
*/}}
{{- define "pulsar.workload.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $component := dict "root" .root "component" (index .root.Values .key).component -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{- include "pulsar.metadata" (merge (dict "name" (include "pulsar.workload.fullname" .)) $component) | nindent 2 }}
spec:
  podSelector:
    matchLabels: {{- include "pulsar.selector" $component | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    - ports:
        {{- range $name, $port := include "pulsar.workload.ports" . | fromJson }}
        - {port: {{ $name }}}
        {{- end }}
      from:
        {{- $clients := list }}
        {{- range .clients }}{{ $clients = append $clients (index $.root.Values .).component }}{{ end }}
        {{- range concat $clients .more }}
        - podSelector:
            matchLabels: {{- include "pulsar.selector" (dict "root" $.root "component" .) | nindent 14 }}
        {{- end }}
        {{- if or (ne .key "bookkeeper") (not .root.Values.components.broker) }}
        {{- with $policy.clients }}
        {{- include "pulsar.yaml" . | nindent 8 }}
        {{- end }}
        {{- end }}
    {{- with $policy.monitoring }}
    - ports: [{port: http}]
      from: {{- include "pulsar.yaml" . | nindent 8 }}
    {{- end }}
{{- end }}

{{/* Ports and probes of a container. Call also with "ready" and "alive", the paths that the probes ask. */}}
{{- define "pulsar.workload.container" -}}
ports:
  {{- range $name, $port := include "pulsar.workload.ports" . | fromJson }}
  - {name: {{ $name }}, containerPort: {{ $port }}}
  {{- end }}
{{- $probe := (index .root.Values .key).probe }}
startupProbe: {{- include "pulsar.workload.probe" (dict "path" .ready "values" $probe.startup) | nindent 2 }}
livenessProbe: {{- include "pulsar.workload.probe" (dict "path" .alive "values" $probe.liveness) | nindent 2 }}
readinessProbe: {{- include "pulsar.workload.probe" (dict "path" .ready "values" $probe.readiness) | nindent 2 }}
{{- end }}

{{/* A probe that asks an address by HTTP. Call with (dict "path" path "values" values). */}}
{{- define "pulsar.workload.probe" -}}
httpGet: {path: {{ .path }}, port: http}
{{- with .values }}
{{ include "pulsar.yaml" . }}
{{- end }}
{{- end }}

{{/*
A StatefulSet. Call also with "service", the name of the Service from which the pods have their host names, with
"replicas", and with what the component has besides: "labels" of the StatefulSet, "options" of Java, "account", and as YAML
"container" (ports and probes), "env", "mounts" and their "volumes", "claims" and "spec".
*/}}
{{- define "pulsar.workload.statefulset" -}}
{{- include "pulsar.withPodSpec" (dict "object" (include "pulsar.workload.object" .) "extra" (index .root.Values .key).extraPodSpec) }}
{{- end }}

{{- define "pulsar.workload.object" -}}
{{- $values := index .root.Values .key -}}
{{- $component := dict "root" .root "component" $values.component -}}
{{- $name := include "pulsar.workload.fullname" . -}}
{{- $strategy := $values.updateStrategy -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "pulsar.metadata" (merge (dict "name" $name "labels" (.labels | default dict)) $component) | nindent 2 }}
  {{- with $values.statefulsetAnnotations }}
  annotations: {{- include "pulsar.texts" . | nindent 4 }}
  {{- end }}
spec:
  serviceName: {{ .service }}
  replicas: {{ .replicas }}
  {{- with .spec }}
  {{- . | nindent 2 }}
  {{- end }}
  podManagementPolicy: Parallel  # otherwise a pod that was never ready is not replaced by a corrected one
  updateStrategy: {{- kindIs "string" $strategy | ternary (dict "type" $strategy) $strategy | toYaml | nindent 4 }}
  selector:
    matchLabels: {{- include "pulsar.selector" $component | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "pulsar.podLabels" (merge (dict "labels" $values.labels) $component) | nindent 8 }}
      annotations:
        checksum/config: {{ list (include "pulsar.workload.files" .) (include "pulsar.workload.environment" .) | toJson | sha256sum }}
        {{- with $values.annotations }}
        {{- include "pulsar.texts" . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "pulsar.pullSecrets" .root | nindent 6 }}
      {{- include "pulsar.scheduling" (merge (dict "values" $values) $component) | nindent 6 }}
      {{- with .account }}
      serviceAccountName: {{ . }}
      {{- end }}
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: {{ $values.gracePeriod }}
      securityContext: {{- include "pulsar.yaml" $values.securityContext | nindent 8 }}
      {{- with $values.extraInitContainers }}
      initContainers: {{- include "pulsar.yaml" . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ $values.component }}
          {{- include "pulsar.workload.image" . | nindent 10 }}
          workingDir: /pulsar
          command: [bash, /etc/pulsar/{{ .key }}.sh]
          env:
            - {name: ZOOKEEPER_SERVERS, value: {{ include "pulsar.zookeeper.connect" .root | quote }}}
            {{- with list .options (include "pulsar.zookeeper.client.options" .root) ($values.configData | default dict).OPTS | compact | join " " }}
            - {name: OPTS, value: {{ . | quote }}}
            {{- end }}
            {{- with .env }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with $values.extraEnv }}
            {{- include "pulsar.yaml" . | nindent 12 }}
            {{- end }}
          envFrom:
            - configMapRef: {name: {{ $name }}-env}
            {{- with $values.extraEnvFrom }}
            {{- include "pulsar.yaml" . | nindent 12 }}
            {{- end }}
          {{- with .container }}
          {{- . | nindent 10 }}
          {{- end }}
          resources: {{- toYaml $values.resources | nindent 12 }}
          securityContext: {{- include "pulsar.containerSecurity" $values | nindent 12 }}
          volumeMounts:
            - {name: config, mountPath: /etc/pulsar}
            - {name: logs, mountPath: /pulsar/logs}
            - {name: tmp, mountPath: /tmp}
            {{- with include "pulsar.zookeeper.client.mount" .root }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with .mounts }}
            {{- . | nindent 12 }}
            {{- end }}
            {{- with $values.extraVolumeMounts }}
            {{- include "pulsar.yaml" . | nindent 12 }}
            {{- end }}
        {{- with $values.extraContainers }}
        {{- include "pulsar.yaml" . | nindent 8 }}
        {{- end }}
      volumes:
        - name: config
          configMap: {name: {{ $name }}}
        - {name: logs, emptyDir: {}}
        - {name: tmp, emptyDir: {}}
        {{- with include "pulsar.zookeeper.client.volume" .root }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with .volumes }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with $values.extraVolumes }}
        {{- include "pulsar.yaml" . | nindent 8 }}
        {{- end }}
  {{- with .claims }}
  volumeClaimTemplates: {{- . | nindent 4 }}
  {{- end }}
{{- end }}
