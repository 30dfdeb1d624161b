{{/*
Refuses a number of members that a running ensemble cannot change to. If helm does not see the cluster, as in
`helm template`, nothing is refused, and the members themselves prevent harm (files/ensemble.sh). Call with (dict "root" $ "found" the StatefulSet
as the cluster has it, or empty).
*/}}
{{- define "pulsar.validate.members" -}}
{{- $wanted := int .root.Values.zookeeper.replicaCount }}
{{- if not (mod $wanted 2) }}
{{- fail (printf "zookeeper.replicaCount is %d. An even number of members tolerates no more losses than %d. Set it to %d or %d" $wanted (sub $wanted 1) (sub $wanted 1) (add $wanted 1)) }}
{{- end }}
{{- $status := (.found).status | default dict }}
{{- with (.found).spec }}
{{- if ne (int .replicas) $wanted }}
{{- if and (ne (.updateStrategy).type "OnDelete") (ne $status.currentRevision $status.updateRevision) }}
{{- fail (printf "zookeeper.replicaCount is %d and the running ensemble has %d members, which are being replaced one after the other. Wait until `kubectl -n %s rollout status statefulset/%s` ends, then change the number" $wanted (int .replicas) (include "pulsar.namespace" $.root) (include "pulsar.zookeeper.fullname" $.root)) }}
{{- end }}
{{- $files := lookup "v1" "ConfigMap" (include "pulsar.namespace" $.root) (include "pulsar.zookeeper.fullname" $.root) }}
{{- include "pulsar.validate.members.change" (dict "now" (int .replicas) "wanted" $wanted "dynamic" (hasKey ($files.data | default dict) "replicas")) }}
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
{{- fail (printf "zookeeper.replicaCount is %d and the running ensemble has %d members. A majority of the members must stay. Set replicaCount to %d first, wait until a member logs that the ensemble has %d members, then set the number that you want" .wanted .now $least $least) }}
{{- end }}
{{- end }}
{{- end }}
