{{/*
Refuses a change of the volumes of a running release. Kubernetes does not change the volume claims of a StatefulSet, and
its own message does not say what to do. Call with (dict "root" $ "key" zookeeper or bookkeeper "name" of the StatefulSet
"found" the StatefulSet as the cluster has it, or empty).
*/}}
{{- define "pulsar.validate.volumes" -}}
{{- with ((.found).spec) }}
{{- $claims := .volumeClaimTemplates | default list }}
{{- $wanted := (index $.root.Values $.key).volumes }}
{{- if ne (empty $claims) (not $wanted.persistence) }}
{{- fail (printf "%s.volumes.persistence is %t, and StatefulSet %s runs with another value. It cannot change on a running release. Set it back, or start a new release from a backup" $.key $wanted.persistence $.name) }}
{{- end }}
{{- if eq $.key "zookeeper" }}
{{- include "pulsar.validate.logs.running" (dict "root" $.root "claims" $claims "name" $.name) }}
{{- end }}
{{- range $claims }}
{{- include "pulsar.validate.claim" (dict "root" $.root "key" $.key "name" $.name "claim" . "volume" .metadata.name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Call as "pulsar.validate.volumes", and with "claim", a claim that the StatefulSet has, and "volume", the key in `volumes`. */}}
{{- define "pulsar.validate.claim" -}}
{{- $wanted := index (index .root.Values .key).volumes .volume }}
{{- $found := .claim.spec.resources.requests.storage }}
{{- $difference := subf (include "pulsar.bytes" $wanted.size) (include "pulsar.bytes" $found) }}
{{- $way := printf "run `kubectl -n %s delete statefulset %s --cascade=orphan`, and upgrade again. The pods keep running. See Growing the volumes in docs/kubernetes.md" (include "pulsar.namespace" .root) .name }}
{{- if lt $difference 0.0 }}
{{- fail (printf "%s.volumes.%s.size is %s, and StatefulSet %s has %s. A volume cannot shrink. Set it back" .key .volume $wanted.size .name $found) }}
{{- else if gt $difference 0.0 }}
{{- fail (printf "%s.volumes.%s.size is %s, and StatefulSet %s has %s. Kubernetes does not grow existing volumes by itself. First set the size of each PersistentVolumeClaim %s-%s-<number>. Then %s" .key .volume $wanted.size .name $found .volume .name $way) }}
{{- end }}
{{- $class := include "pulsar.volumes.class" (dict "root" .root "volume" $wanted) }}
{{- $now := include "pulsar.volumes.class.field" .claim.spec }}
{{- if ne $class $now }}
{{- fail (printf "the storage class of %s.volumes.%s is %s, and StatefulSet %s has %s. Only new volumes get another class, so you would replace the old volumes one by one afterwards. Set the class back, or %s" .key .volume (include "pulsar.volumes.class.name" $class) .name (include "pulsar.volumes.class.name" $now) $way) }}
{{- end }}
{{- $claim := .claim }}
{{- range $key := list "labels" "annotations" }}
{{- $now := include "pulsar.texts" (index $wanted $key) }}
{{- if ne $now (include "pulsar.texts" (index $claim.metadata $key)) }}
{{- fail (printf "%s.volumes.%s.%s are not those that StatefulSet %s has, which Kubernetes does not change. Set them back, or first set them on each PersistentVolumeClaim %s-%s-<number>. Then %s" $.key $.volume $key $.name $.volume $.name $way) }}
{{- end }}
{{- end }}
{{- end }}

{{/* When Kubernetes deletes the claims of a StatefulSet, if `retentionPolicy` says it. Call with `volumes`. */}}
{{- define "pulsar.volumes.retention" -}}
{{- with .retentionPolicy -}}
persistentVolumeClaimRetentionPolicy: {{- merge (dict) . (dict "whenDeleted" "Retain" "whenScaled" "Retain") | toYaml | nindent 2 }}
{{- end -}}
{{- end }}

{{/*
A volume claim, with the fields that Kubernetes would add. Without them, tools such as Argo CD always report a difference.
Call with (dict "root" $ "key" zookeeper or bookkeeper "name" key in `volumes`).
*/}}
{{- define "pulsar.volumes.claim" -}}
{{- $volume := index (index .root.Values .key).volumes .name -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: {{ .name }}
    {{- with include "pulsar.texts" $volume.labels }}
    labels: {{- . | nindent 6 }}
    {{- end }}
    {{- with include "pulsar.texts" $volume.annotations }}
    annotations: {{- . | nindent 6 }}
    {{- end }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- include "pulsar.volumes.class" (dict "root" .root "volume" $volume) | nindent 4 }}
    resources:
      requests: {storage: {{ include "pulsar.quantity" $volume.size | quote }}}
    volumeMode: Filesystem
  status: {phase: Pending}
{{- end }}

{{/*
storageClassName of a volume claim. "-" means an empty name, and with the cluster's default the field is left out. Call
with (dict "root" $ "volume" values).
*/}}
{{- define "pulsar.volumes.class" -}}
{{- with .volume.storageClassName | default .root.Values.global.storageClass -}}
{{- include "pulsar.volumes.class.field" (dict "storageClassName" (ternary "" . (eq . "-"))) -}}
{{- end -}}
{{- end }}

{{/* The field as YAML, if the spec of a claim has it. */}}
{{- define "pulsar.volumes.class.field" -}}
{{- if hasKey . "storageClassName" }}storageClassName: {{ .storageClassName | quote }}{{ end -}}
{{- end }}

{{/* What a message calls the class. Call with the field as YAML. */}}
{{- define "pulsar.volumes.class.name" -}}
{{- $class := fromYaml . -}}
{{- if not (hasKey $class "storageClassName") -}}
the cluster's default
{{- else -}}
{{- $class.storageClassName | default "-" | quote -}}
{{- end -}}
{{- end }}

{{/*
A quantity as Kubernetes writes it: 1024Mi is 1Gi, and 1.5Gi is 1536Mi. Zero and parts of a byte are returned unchanged.
*/}}
{{- define "pulsar.quantity" -}}
{{- $exact := include "pulsar.bytes" . | float64 -}}
{{- $units := list "E" "P" "T" "G" "M" "k" "" -}}
{{- if hasSuffix "i" . -}}
{{- $units = list "Ei" "Pi" "Ti" "Gi" "Mi" "Ki" "" -}}
{{- end -}}
{{- $state := dict "text" (ternary . "" (or (eq $exact 0.0) (ne $exact (floor $exact)))) -}}
{{- range $units -}}
{{- $number := divf $exact (get (include "pulsar.units" . | fromJson) .) -}}
{{- if and (not $state.text) (eq $number (floor $number)) -}}
{{- $_ := set $state "text" (printf "%.0f%s" $number .) -}}
{{- end -}}
{{- end -}}
{{- $state.text -}}
{{- end }}

{{/* A quantity in bytes. */}}
{{- define "pulsar.bytes" -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- mulf $number (get (include "pulsar.units" . | fromJson) (trimPrefix $number .)) | printf "%f" -}}
{{- end }}

{{- define "pulsar.units" -}}
{"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "Ki": 1024, "Mi": 1048576, "Gi": 1073741824, "Ti": 1099511627776, "Pi": 1125899906842624, "Ei": 1152921504606846976}
{{- end }}
