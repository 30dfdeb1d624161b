{{/* Grammars of values that the program has, too. */}}

{{/*
The address of an ensemble, in the program's own grammar (ZOOKEEPER_SERVERS): hosts, IPv4 and IPv6, with ports or without,
blanks after commas, and a chroot at the end. Call with the text. Returns JSON: `problem`, empty if there is none, and
`address` with a port for each host.
*/}}
{{- define "pulsar.connect.parse" -}}
{{- $text := trim . -}}
{{- $hosts := regexFind "^[^/]*" $text -}}
{{- $chroot := trimPrefix $hosts $text | regexFind "(?s)^(.*[^/])?" -}}
{{- $state := dict "problem" "" "servers" list -}}
{{- range $number, $host := splitList "," $hosts -}}
{{- $_ := set $state "servers" (append $state.servers (include "pulsar.connect.host" (trim $host))) -}}
{{- if not (last $state.servers) -}}
{{- $_ := set $state "problem" ($state.problem | default (printf "its member %d is not host:port" (add $number 1))) -}}
{{- end -}}
{{- end -}}
{{- if and $chroot (or (ne "true" (include "pulsar.isZnode" $chroot)) (ne $chroot (trim $chroot))) -}}
{{- $_ := set $state "problem" "its chroot is not the path of a znode" -}}
{{- end -}}
{{- dict "problem" $state.problem "address" (printf "%s%s" (join "," $state.servers) $chroot) | toJson -}}
{{- end }}

{{/* A host with its port, by default ZooKeeper's. Nothing if it is neither a host nor an IPv6 address in brackets. */}}
{{- define "pulsar.connect.host" -}}
{{- if regexMatch "^([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?[.]?|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$" . -}}
{{- $port := regexFind ":[0-9]{1,5}$" (regexReplaceAll "^\\[.*\\]" . "") | default ":2181" -}}
{{- $number := regexReplaceAll "^:0*" $port "" | int -}}
{{- if and (ge $number 1) (le $number 65535) -}}
{{- ternary . (printf "%s:2181" .) (hasSuffix $port .) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether a text is the path of a znode, with characters that can be printed. */}}
{{- define "pulsar.isZnode" -}}
{{- $names := rest (splitList "/" .) -}}
{{- and (hasPrefix "/" .) (eq . (include "pulsar.printable" .)) (not (has "" $names)) (not (has "." $names)) (not (has ".." $names)) -}}
{{- end }}

{{/* A text without characters that cannot be printed. */}}
{{- define "pulsar.printable" -}}
{{- regexReplaceAll "[^\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]" . "" -}}
{{- end }}

{{/* Not empty if a name in configData is that of a setting of ZooKeeper or Pulsar, and not of a variable, as other charts take it. */}}
{{- define "pulsar.isSetting" -}}
{{- regexFind "^(PULSAR_PREFIX_.+|[a-z0-9]+([A-Z.].*)?)$" . -}}
{{- end }}
