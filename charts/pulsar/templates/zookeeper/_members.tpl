{{/*
Refuses changes that a running ensemble cannot make. If helm does not see the cluster, as in `helm template`, nothing is
refused, and the members themselves prevent harm (files/ensemble.sh). Call with (dict "root" $ "found" the StatefulSet
as the cluster has it, or empty).
*/}}
{{- define "pulsar.validate.members" -}}
{{- $wanted := int .root.Values.zookeeper.replicaCount }}
{{- $now := int ((.found).spec).replicas }}
{{- if and (not (mod $wanted 2)) (ne $wanted $now) }}
{{- fail (printf "zookeeper.replicaCount is %d. An even number of members tolerates no more losses than %d. Set it to %d or %d" $wanted (sub $wanted 1) (sub $wanted 1) (add $wanted 1)) }}
{{- end }}
{{- if $now }}
{{- $files := (lookup "v1" "ConfigMap" (include "pulsar.namespace" .root) (include "pulsar.zookeeper.fullname" .root)).data | default dict }}
{{- include "pulsar.validate.members.ports" (dict "root" .root "ready" ((.found).status).readyReplicas "now" $files.member) }}
{{- include "pulsar.validate.members.tls" (dict "root" .root "ready" ((.found).status).readyReplicas "now" (get $files "zookeeper.conf")) }}
{{- if ne $now $wanted }}
{{- $change := printf "zookeeper.replicaCount is %d and the running ensemble has %d members" $wanted $now }}
{{- include "pulsar.validate.members.settled" (dict "change" $change "found" .found "root" .root) }}
{{- include "pulsar.validate.members.change" (dict "change" $change "now" $now "wanted" $wanted "dynamic" (hasKey $files "replicas")) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses other ports, because members with different ports cannot reach each other. Call with the running list's line as "now". */}}
{{- define "pulsar.validate.members.ports" -}}
{{- $ports := ":[0-9]+:[0-9]+:" }}
{{- $wanted := regexFind $ports (include "pulsar.zookeeper.line" .root) }}
{{- if and .ready .now (ne $wanted (regexFind $ports .now)) }}
{{- fail (printf "zookeeper.ports.follower and leaderElection are %s, and the members that run use %s. They could not reach each other while one after the other is restarted. Set the ports back" $wanted (regexFind $ports .now)) }}
{{- end }}
{{- end }}

{{/* Refuses a change until all members are ready. Call with (dict "change" text "found" the StatefulSet "root" $). */}}
{{- define "pulsar.validate.members.settled" -}}
{{- $status := .found.status | default dict }}
{{- $way := printf "Wait until `kubectl -n %s rollout status statefulset/%s` ends, then change the number" (include "pulsar.namespace" .root) (include "pulsar.zookeeper.fullname" .root) }}
{{- if and (ne (.found.spec.updateStrategy).type "OnDelete") (ne $status.currentRevision $status.updateRevision) }}
{{- fail (printf "%s, which are being replaced one after the other. %s" .change $way) }}
{{- end }}
{{- if ne (int $status.readyReplicas) (int .found.spec.replicas) }}
{{- fail (printf "%s, of which %d are ready. %s. If the ensemble has never served, uninstall the release and delete its volumes instead" .change (int $status.readyReplicas) $way) }}
{{- end }}
{{- end }}

{{/*
Refuses a step that the members cannot make. Call with (dict "change" text "now" number "wanted" number "dynamic" whether
the running members agree on their list).
*/}}
{{- define "pulsar.validate.members.change" -}}
{{- if not .dynamic }}
{{- fail (printf "%s, which an earlier chart started. They cannot change their number yet. Upgrade with replicaCount=%d first, wait until all pods are ready, and change the number in a second upgrade" .change .now) }}
{{- end }}
{{- $majority := add (div .now 2) 1 }}
{{- $least := ternary $majority (add $majority 1) (eq (mod $majority 2) 1) | int }}
{{- if lt .wanted $least }}
{{- if eq $least .now }}
{{- fail (printf "%s. A majority of the members must stay, so this ensemble cannot shrink. Restore a backup into a new release with %d members instead (docs/members.md)" .change .wanted) }}
{{- else }}
{{- fail (printf "%s. A majority of the members must stay. Set replicaCount to %d first, wait until a member logs that the ensemble has %d members, then set the number that you want" .change $least $least) }}
{{- end }}
{{- end }}
{{- end }}
