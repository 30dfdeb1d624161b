{{/* Refuses numbers of members that a running ensemble cannot go to. Where nothing is known of a cluster, as in
`helm template`, the members themselves do no harm (files/ensemble.sh). */}}
{{- define "pulsar.validate.members" -}}
{{- $zookeeper := .Values.zookeeper }}
{{- if $zookeeper.enabled }}
{{- $wanted := int $zookeeper.replicaCount }}
{{- if not (mod $wanted 2) }}
{{- fail (printf "zookeeper.replicaCount is %d. An even number of members tolerates no more losses than %d. Set it to %d or %d" $wanted (sub $wanted 1) (sub $wanted 1) (add $wanted 1)) }}
{{- end }}
{{- $name := include "pulsar.zookeeper.fullname" . }}
{{- $namespace := include "pulsar.namespace" . }}
{{- $running := lookup "apps/v1" "StatefulSet" $namespace $name }}
{{- $files := lookup "v1" "ConfigMap" $namespace $name }}
{{- if and $running (ne (int $running.spec.replicas) $wanted) }}
{{- include "pulsar.validate.members.change" (dict "now" (int $running.spec.replicas) "wanted" $wanted "dynamic" (hasKey ($files.data | default dict) "replicas")) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Call with (dict "now" number "wanted" number "dynamic" whether the running members agree on their list). */}}
{{- define "pulsar.validate.members.change" -}}
{{- if not .dynamic }}
{{- fail (printf "zookeeper.replicaCount is %d and the running ensemble has %d members, which an earlier chart started. They cannot change their number yet. Upgrade with replicaCount=%d first, wait until all pods are ready, and change the number in a second upgrade" .wanted .now .now) }}
{{- end }}
{{- $majority := add (div .now 2) 1 }}
{{- $least := ternary $majority (add $majority 1) (eq (mod $majority 2) 1) | int }}
{{- if lt .wanted $least }}
{{- if eq $least .now }}
{{- fail (printf "zookeeper.replicaCount is %d and the running ensemble has %d members. A majority of the members must stay, so this ensemble cannot shrink. Restore a backup into a new release with %d members instead (docs/kubernetes.md, Changing the number of members)" .wanted .now .wanted) }}
{{- else }}
{{- fail (printf "zookeeper.replicaCount is %d and the running ensemble has %d members. A majority of the members must stay. Set replicaCount to %d first, wait until a member logs that the ensemble has %d members, then go on" .wanted .now $least $least) }}
{{- end }}
{{- end }}
{{- end }}
