{{/* What pods have in common. */}}

{{/* Call with (dict "root" $ "repository" text "tag" text "digest" text). */}}
{{- define "pulsar.image" -}}
{{- with .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}{{ .repository }}{{ with .digest }}@{{ . }}{{ else }}:{{ include "pulsar.number" .tag }}{{ end }}
{{- end }}

{{- define "pulsar.zookeeper.image" -}}
image: {{ include "pulsar.image" (merge (dict "root" .) .Values.images.zookeeper) | quote }}
imagePullPolicy: {{ .Values.images.zookeeper.pullPolicy | default "IfNotPresent" }}
{{- end }}

{{/* The image of a component of Pulsar. What is empty is as for ZooKeeper. Call as "pulsar.workload". */}}
{{- define "pulsar.workload.image" -}}
{{- $images := .root.Values.images -}}
{{- $own := get $images (ternary "bookie" .key (eq .key "bookkeeper")) -}}
{{- $digest := $own.digest | default (or $own.repository $own.tag | empty | ternary $images.zookeeper.digest "") -}}
{{- $repository := $own.repository | default $images.zookeeper.repository -}}
image: {{ include "pulsar.image" (dict "root" .root "repository" $repository "tag" ($own.tag | default $images.zookeeper.tag) "digest" $digest) | quote }}
imagePullPolicy: {{ $own.pullPolicy | default $images.zookeeper.pullPolicy | default "IfNotPresent" }}
{{- end }}

{{/*
Backup and restore are the same program, so an empty value comes from the other's image. Call with (dict "root" $ "tool"
name).
*/}}
{{- define "pulsar.tool.image" -}}
{{- $images := .root.Values.images.zookeeper.customTools -}}
{{- $own := index $images .tool -}}
{{- $other := index $images (ternary "restore" "backup" (eq .tool "backup")) -}}
{{- $repository := $own.repository | default $other.repository | default "pulsar-metadata-backup" -}}
{{- $tag := $own.tag | default $other.tag | default .root.Chart.AppVersion -}}
{{- $digest := $own.digest | default (empty $own.tag | ternary $other.digest "") -}}
image: {{ include "pulsar.image" (dict "root" .root "repository" $repository "tag" $tag "digest" $digest) | quote }}
imagePullPolicy: {{ $own.pullPolicy | default $other.pullPolicy | default "IfNotPresent" }}
{{- end }}

{{- define "pulsar.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - {{ kindIs "string" . | ternary (dict "name" .) . | toJson }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where a pod may run. Call with (dict "root" $ "component" name "values" values). */}}
{{- define "pulsar.scheduling" -}}
{{- with .values.nodeSelector }}
nodeSelector: {{- include "pulsar.texts" . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- include "pulsar.yaml" . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- include "pulsar.yaml" . | nindent 2 }}
{{- end }}
{{- $selector := include "pulsar.selector" . | fromYaml }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- include "pulsar.yaml" (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" $selector))) | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/*
A security context that meets the `restricted` Pod Security level. Call with values that may have a
containerSecurityContext, which is merged over it.
*/}}
{{- define "pulsar.containerSecurity" -}}
{{- $restricted := dict "allowPrivilegeEscalation" false "capabilities" (dict "drop" (list "ALL")) "readOnlyRootFilesystem" true -}}
{{- mergeOverwrite $restricted (.containerSecurityContext | default dict | deepCopy) | toYaml }}
{{- end }}

{{/*
A StatefulSet or Job with the user's fields merged into its pods. Call with (dict "object" text "extra" map). An object
that is not valid YAML is returned unchanged, so that helm reports the error.
*/}}
{{- define "pulsar.withPodSpec" -}}
{{- $object := fromYaml .object -}}
{{- if and .extra $object.spec -}}
{{- mergeOverwrite $object (dict "spec" (dict "template" (dict "spec" (include "pulsar.yaml" .extra | fromYaml)))) | toYaml -}}
{{- else -}}
{{- .object -}}
{{- end -}}
{{- end }}

{{/*
A Job that may run again at any time. Its name has a digest of its content, because Kubernetes refuses to change a Job.
So changed values create a new Job. Call as "pulsar.selector", with "spec" as YAML, and with "more", a list of texts whose
change also creates a new Job.
*/}}
{{- define "pulsar.job" -}}
{{- $extra := .root.Values.pulsar_metadata.extraPodSpec -}}
{{- $digest := concat (list .spec) .more (list ($extra | default dict)) | toJson | sha256sum | trunc 8 -}}
{{- $name := printf "%s-%s-%s" (include "pulsar.fullname" .root) .component $digest -}}
{{- $metadata := include "pulsar.metadata" (merge (dict "name" $name) .) -}}
{{- $object := dict "apiVersion" "batch/v1" "kind" "Job" "metadata" (fromYaml $metadata) "spec" (fromYaml .spec) -}}
{{- include "pulsar.withPodSpec" (dict "object" (toYaml $object) "extra" $extra) }}
{{- end }}
