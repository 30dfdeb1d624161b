{{/* The bookies' part of what "pulsar.workload" makes. */}}

{{/* Lines of bookkeeper.conf that the chart and its scripts rely on. */}}
{{- define "pulsar.bookkeeper.settings" -}}
{{- dict
  "metadataServiceUri" (printf "metadata-store:zk:%s" (include "pulsar.zookeeper.connect" .))
  "bookiePort" (toString .Values.bookkeeper.ports.bookie)
  "useHostNameAsBookieID" "true"
  "journalDirectory" "/pulsar/data/bookkeeper/journal"
  "ledgerDirectories" "/pulsar/data/bookkeeper/ledgers"
  "httpServerEnabled" "true"
  "httpServerPort" (toString .Values.bookkeeper.ports.http)
  "prometheusStatsHttpPort" (toString .Values.bookkeeper.ports.http)
  | toJson }}
{{- end }}

{{/*
Lines of bookkeeper.conf that hold garbage collection, as JSON: after a restore, bookies would delete each ledger that
was created after the backup. Ten years, because the longest wait would overflow. Compaction is off, because its
intervals may not be shorter.
*/}}
{{- define "pulsar.bookkeeper.hold" -}}
{{- $restore := .Values.zookeeper.customTools.restore -}}
{{- if and (eq $restore.scope "bookies-kept") (not $restore.collectGarbage) -}}
{"gcWaitTime": "315360000000", "minorCompactionInterval": "-1", "majorCompactionInterval": "-1", "entryLocationCompactionInterval": "-1", "isForceGCAllowWhenNoSpace": "false"}
{{- else -}}
{}
{{- end -}}
{{- end }}

{{/* Labels of the StatefulSet, so that `kubectl get statefulsets -L garbage-collection` shows the hold. */}}
{{- define "pulsar.bookkeeper.labels" -}}
{{- if ne "{}" (include "pulsar.bookkeeper.hold" .) -}}
garbage-collection: held
{{- end -}}
{{- end }}

{{/*
Refuses to lift the hold by removing the values of the restore, which is what one does after a restore, or by a value
that is left from an earlier restore. Call with (dict "root" $ "found" the ConfigMap of the bookies as the cluster has it,
"restored" the StatefulSet of ZooKeeper as the cluster has it). Both may be empty.
*/}}
{{- define "pulsar.validate.hold" -}}
{{- $held := "gcWaitTime=315360000000" -}}
{{- $now := include "pulsar.workload.conf" (dict "root" .root "key" "bookkeeper") -}}
{{- $before := get ((.found).data | default dict) "bookkeeper.conf" | default "" -}}
{{- $restore := .root.Values.zookeeper.customTools.restore -}}
{{- $version := get (((.restored).metadata).labels | default dict) "restore-version" | default "" -}}
{{- if and $version $restore.enable (eq $restore.scope "bookies-kept") $restore.collectGarbage (ne $version (include "pulsar.number" $restore.restoreVersion)) }}
{{- fail (printf "zookeeper.customTools.restore.collectGarbage is true since the restore with version %s, and bookies would delete what the next restore does not know. Set it to false" $version) }}
{{- end }}
{{- if and (contains $held $before) (not (contains $held $now)) (not $restore.collectGarbage) }}
{{- fail "the bookies hold garbage collection since a restore with scope bookies-kept, and these values would lift the hold. Set zookeeper.customTools.restore.scope to bookies-kept again. When you have checked the cluster, set zookeeper.customTools.restore.collectGarbage to true, and bookies delete the ledgers that the restored tree does not know" }}
{{- end }}
{{- end }}

{{- define "pulsar.bookkeeper.mounts" -}}
- {name: journal, mountPath: /pulsar/data/bookkeeper/journal}
- {name: ledgers, mountPath: /pulsar/data/bookkeeper/ledgers}
{{- end }}

{{- define "pulsar.bookkeeper.volumes" -}}
{{- if not .Values.bookkeeper.volumes.persistence }}
- {name: journal, emptyDir: {}}
- {name: ledgers, emptyDir: {}}
{{- end }}
{{- end }}

{{- define "pulsar.bookkeeper.claims" -}}
{{- if .Values.bookkeeper.volumes.persistence }}
{{- range $name := list "journal" "ledgers" }}
{{ include "pulsar.volumes.claim" (dict "root" $ "key" "bookkeeper" "name" $name) }}
{{- end }}
{{- end }}
{{- end }}
