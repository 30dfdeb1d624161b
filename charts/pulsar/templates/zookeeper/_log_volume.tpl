{{/* The volume for transaction logs (zookeeper.volumes.useSeparateDiskForTxlog). Without it, all of these are empty. */}}

{{/* ZooKeeper's dataLogDir, if it is not its dataDir. */}}
{{- define "pulsar.zookeeper.logs.directory" -}}
{{- if .Values.zookeeper.volumes.useSeparateDiskForTxlog }}/pulsar/data-log{{ end -}}
{{- end }}

{{/* Its mount, in ZooKeeper's container and in the restore's. */}}
{{- define "pulsar.zookeeper.logs.mount" -}}
{{- with include "pulsar.zookeeper.logs.directory" . }}
- {name: datalog, mountPath: {{ . }}}
{{- end }}
{{- end }}

{{/*
Refuses a change of a release whose members keep their logs elsewhere, because they would serve an older tree. Call with
(dict "root" $ "claims" the volumeClaimTemplates of the running StatefulSet "name" its name).
*/}}
{{- define "pulsar.validate.logs.running" -}}
{{- $wanted := .root.Values.zookeeper.volumes.useSeparateDiskForTxlog }}
{{- $names := list }}
{{- range .claims }}
{{- $names = append $names .metadata.name }}
{{- end }}
{{- if and .claims (ne $wanted (has "datalog" $names)) }}
{{- fail (printf "zookeeper.volumes.useSeparateDiskForTxlog is %t, and StatefulSet %s runs with another value. ZooKeeper would not find its transaction logs. Set it back, or start a new release from a backup" $wanted .name) }}
{{- end }}
{{- end }}

{{/*
Refuses a new release whose volumes are left of one that kept its logs elsewhere. Call with (dict "root" $ "claim" the
claim for transaction logs of the first member, as the cluster has it, or empty).
*/}}
{{- define "pulsar.validate.logs.left" -}}
{{- $volumes := .root.Values.zookeeper.volumes }}
{{- if and .claim $volumes.persistence (not $volumes.useSeparateDiskForTxlog) }}
{{- fail (printf "zookeeper.volumes.useSeparateDiskForTxlog is false, and PersistentVolumeClaim %s has transaction logs of an earlier release, without which ZooKeeper would serve an older tree. Set it to true, or delete all claims of that release" .claim.metadata.name) }}
{{- end }}
{{- end }}
