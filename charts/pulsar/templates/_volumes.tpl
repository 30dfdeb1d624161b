{{/*
Refuses a change of the volumes of a running release. Kubernetes does not change the volume claims of a StatefulSet, and
its own message does not say what to do. Call with (dict "root" $ "found" the StatefulSet as the cluster has it, or empty).
*/}}
{{- define "pulsar.validate.volumes" -}}
{{- $root := .root }}
{{- with ((.found).spec) }}
{{- $claims := .volumeClaimTemplates | default list }}
{{- $wanted := $root.Values.zookeeper.volumes }}
{{- $name := include "pulsar.zookeeper.fullname" $root }}
{{- if ne (empty $claims) (not $wanted.persistence) }}
{{- fail (printf "zookeeper.volumes.persistence is %t, and StatefulSet %s runs with another value. It cannot change on a running release. Set it back, or start a new release from a backup" $wanted.persistence $name) }}
{{- end }}
{{- with $claims | first | default dict }}
{{- include "pulsar.validate.claim" (dict "root" $root "name" $name "claim" . "wanted" $wanted.data) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.claim" -}}
{{- $found := .claim.spec.resources.requests.storage }}
{{- $difference := subf (include "pulsar.bytes" .wanted.size) (include "pulsar.bytes" $found) }}
{{- $way := printf "run `kubectl -n %s delete statefulset %s --cascade=orphan`, and upgrade again. The pods keep running. See Growing the volumes in docs/kubernetes.md" (include "pulsar.namespace" .root) .name }}
{{- if lt $difference 0.0 }}
{{- fail (printf "zookeeper.volumes.data.size is %s, and StatefulSet %s has %s. A volume cannot shrink. Set it back" .wanted.size .name $found) }}
{{- else if gt $difference 0.0 }}
{{- fail (printf "zookeeper.volumes.data.size is %s, and StatefulSet %s has %s. Kubernetes does not grow existing volumes by itself. First set the size of each PersistentVolumeClaim data-%s-<number>. Then %s" .wanted.size .name $found .name $way) }}
{{- end }}
{{- $class := .wanted.storageClassName | default .root.Values.global.storageClass | default "" }}
{{- if ne $class (.claim.spec.storageClassName | default "") }}
{{- fail (printf "the storage class of ZooKeeper's volumes is %q, and StatefulSet %s has %q. Only new volumes get another class, so you would replace the old volumes one by one afterwards. Set the class back, or %s" $class .name (.claim.spec.storageClassName | default "") $way) }}
{{- end }}
{{- $claim := .claim }}
{{- range $key := list "labels" "annotations" }}
{{- $now := include "pulsar.texts" (index $.wanted $key) }}
{{- if ne $now (include "pulsar.texts" (index $claim.metadata $key)) }}
{{- fail (printf "zookeeper.volumes.data.%s are not those that StatefulSet %s has, which Kubernetes does not change. Set them back, or first set them on each PersistentVolumeClaim data-%s-<number>. Then %s" $key $.name $.name $way) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A quantity in bytes: the API writes 1024Mi as 1Gi. */}}
{{- define "pulsar.bytes" -}}
{{- $factors := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 -}}
{{- $number := regexFind "^[0-9.]+" . -}}
{{- printf "%.0f" (mulf $number (get $factors (trimPrefix $number .))) -}}
{{- end }}
