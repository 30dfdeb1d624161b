{{/* Refuses values that cannot work, with one line for each. The schema refuses wrong types and unknown keys. */}}

{{- define "pulsar.validate" -}}
{{- include "pulsar.validate.otherCharts" . }}
{{- include "pulsar.validate.image" .Values.images.zookeeper }}
{{- include "pulsar.validate.names" . }}
{{- include "pulsar.validate.zookeeper" . }}
{{- include "pulsar.validate.conf" . }}
{{- include "pulsar.validate.zookeeper.tls" . }}
{{- include "pulsar.validate.metadata" .Values.pulsar_metadata }}
{{- include "pulsar.validate.components" . }}
{{- if .Values.components.zookeeper }}
{{- $running := dict "root" . "found" (lookup "apps/v1" "StatefulSet" (include "pulsar.namespace" .) (include "pulsar.zookeeper.fullname" .)) }}
{{- include "pulsar.validate.members" $running }}
{{- include "pulsar.validate.volumes" (merge (dict "key" "zookeeper" "name" (include "pulsar.zookeeper.fullname" .)) $running) }}
{{- include "pulsar.validate.logs.left" (dict "root" . "claim" (lookup "v1" "PersistentVolumeClaim" (include "pulsar.namespace" .) (printf "datalog-%s-0" (include "pulsar.zookeeper.fullname" .)))) }}
{{- end }}
{{- include "pulsar.validate.podSpec" (dict "key" "zookeeper" "values" .Values.zookeeper) }}
{{- include "pulsar.validate.podSpec" (dict "key" "zookeeper.customTools.backup" "values" .Values.zookeeper.customTools.backup) }}
{{- include "pulsar.validate.podSpec" (dict "key" "pulsar_metadata" "values" .Values.pulsar_metadata) }}
{{- $tools := .Values.zookeeper.customTools }}
{{- include "pulsar.validate.objectStore" ($tools.objectStore | default dict) }}
{{- include "pulsar.validate.tieredStorage" ($tools.tieredStorage | default dict) }}
{{- if $tools.backup.enable }}
{{- include "pulsar.validate.tool" (dict "tool" "backup" "values" $tools.backup) }}
{{- include "pulsar.validate.backup" $tools.backup }}
{{- include "pulsar.validate.tls" . }}
{{- end }}
{{- if or (and $tools.backup.enable $tools.backup.broker.enabled) (and $tools.restore.enable $tools.restore.putBack.enabled) }}
{{- include "pulsar.validate.brokers" . }}
{{- end }}
{{- if or $tools.backup.enable $tools.restore.enable }}
{{- include "pulsar.validate.sasl" ($tools.backup.sasl | default dict) }}
{{- end }}
{{- if $tools.restore.enable }}
{{- include "pulsar.validate.tool" (dict "tool" "restore" "values" $tools.restore) }}
{{- include "pulsar.validate.restore" . }}
{{- end }}
{{- end }}

{{/* A merge would replace these lists of the chart. Users add to them with other keys. */}}
{{- define "pulsar.validate.podSpec" -}}
{{- range $name, $_ := .values.extraPodSpec }}
{{- if has $name (list "containers" "initContainers" "volumes") }}
{{- $own := printf "extra%s" (title $name) }}
{{- $way := ternary (printf "Use %s.%s" $.key $own) "Remove it" (hasKey $.values $own) }}
{{- fail (printf "%s.extraPodSpec.%s would replace the chart's own. %s" $.key $name $way) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.tls" -}}
{{- $tls := .Values.zookeeper.customTools.backup.tls | default dict }}
{{- if and $tls.enabled .Values.components.zookeeper }}
{{- fail "zookeeper.customTools.backup.tls.enabled and components.zookeeper are both true, but the first is for an ensemble of another chart. Set it to false. For TLS of this chart's ensemble, set tls.zookeeper.enabled to true" }}
{{- end }}
{{- if and $tls.enabled .Values.initialize }}
{{- fail "zookeeper.customTools.backup.tls.enabled and initialize are both true, but the Jobs that initialise cannot use this TLS. Set initialize to false, and initialise the metadata by the chart that runs the ensemble" }}
{{- end }}
{{- if and $tls.enabled (not $tls.secretName) }}
{{- fail "zookeeper.customTools.backup.tls.secretName is empty, but tls.enabled is true. Set it to the name of a Secret with ca.crt" }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.sasl" -}}
{{- $key := "zookeeper.customTools.backup.sasl" }}
{{- $keys := dict "DIGEST-MD5" "user and password" "GSSAPI" "keytab and krb5.conf" }}
{{- if and .mechanism (not .secretName) }}
{{- fail (printf "%s.secretName is empty, but sasl.mechanism is %s. Set it to the name of a Secret with %s" $key .mechanism (get $keys .mechanism)) }}
{{- end }}
{{- range $name := list "krb5ConfigMap" "principal" }}
{{- if and (get $ $name) (ne ($.mechanism | default "") "GSSAPI") }}
{{- fail (printf "%s.%s is set, but sasl.mechanism is %s. Remove it, or set the mechanism to GSSAPI" $key $name ($.mechanism | default "empty")) }}
{{- end }}
{{- end }}
{{- if and (eq (.mechanism | default "") "GSSAPI") (not (regexMatch "^[A-Za-z0-9._-]+$" .service)) }}
{{- fail (printf "%s.service is %q. Set it to the first part of the servers' principals, such as zookeeper" $key .service) }}
{{- end }}
{{- end }}

{{/*
Limits the first part of names, because Kubernetes' names must stay below 64 characters. Together with a component it may
have 52, because `-headless` or a StatefulSet's revision is added. Alone it may have 40, because
`-bookie-init-<digest>-<5 characters>` is added for a Job's pods.
*/}}
{{- define "pulsar.validate.fullname" -}}
{{- $longest := 0 }}
{{- range include "pulsar.components.names" . | fromJson }}
{{- $longest = max $longest (len .) | int }}
{{- end }}
{{- $most := min 40 (sub 51 $longest) | int }}
{{- $why := "all names that contain it must stay below 64 characters" }}
{{- if lt $most 40 }}
{{- $why = printf "%s, and one of the components has %d" $why $longest }}
{{- end }}
{{- $length := len (include "pulsar.fullname" .) }}
{{- if .Values.fullnameOverride }}
{{- if gt $length $most }}
{{- fail (printf "fullnameOverride has %d characters and may have %d, because %s. Set a shorter name" $length $most $why) }}
{{- end }}
{{- else if gt $length $most }}
{{- fail (printf "the release's name has %d characters and may have %d (%d with -pulsar), because %s. Use a shorter name, or set fullnameOverride to at most %d characters" (len .Release.Name) (sub $most 7) $most $why $most) }}
{{- else if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .Release.Name) }}
{{- fail (printf "the release's name is %q, but a Service's name has only lower-case letters, digits and '-', and begins with a letter. Use such a name, or set fullnameOverride to one" .Release.Name) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.names" -}}
{{- include "pulsar.validate.fullname" . }}
{{- $taken := list "bookie-init" "drill" "init" "initialize" "put-back" "test" "metadata-tool" }}
{{- range $key, $name := include "pulsar.components.names" . | fromJson }}
{{- if has $name $taken }}
{{- fail (printf "%s is %s, and another part of the release has this name. Set another name" $key $name) }}
{{- end }}
{{- $taken = append $taken $name }}
{{- end }}
{{- end }}

{{/* The names of all components by their keys, as JSON. */}}
{{- define "pulsar.components.names" -}}
{{- $tools := .Values.zookeeper.customTools -}}
{{- $names := dict "zookeeper.component" .Values.zookeeper.component "zookeeper.customTools.backup.component" $tools.backup.component "zookeeper.customTools.restore.component" $tools.restore.component -}}
{{- range $key := list "bookkeeper" "broker" "proxy" "toolset" }}
{{- $_ := set $names (printf "%s.component" $key) (index $.Values $key).component }}
{{- end }}
{{- toJson $names }}
{{- end }}

{{- define "pulsar.validate.zookeeper" -}}
{{- $zookeeper := .Values.zookeeper }}
{{- if and $.Values.components.zookeeper $zookeeper.connect }}
{{- fail "zookeeper.connect is set, but components.zookeeper is true. Set components.zookeeper to false to use the ensemble of another chart, or leave zookeeper.connect empty" }}
{{- end }}
{{- $components := .Values.components }}
{{- $client := or $zookeeper.customTools.backup.enable .Values.initialize $components.bookkeeper $components.broker $components.toolset }}
{{- if and (not $components.zookeeper) (not $zookeeper.connect) $client }}
{{- fail "zookeeper.connect is empty, but components.zookeeper is false. Set it to the address of the ensemble, host:port,host:port,…" }}
{{- end }}
{{- if and (contains "/" ($zookeeper.connect | default "")) $zookeeper.customTools.backup.chroot }}
{{- fail "zookeeper.connect has a chroot, and backup.chroot is set. Leave one of them empty" }}
{{- end }}
{{- if $zookeeper.connect }}
{{- with (include "pulsar.connect.parse" $zookeeper.connect | fromJson).problem }}
{{- fail (printf "zookeeper.connect is %q, and %s. Set it to the address of the ensemble, host:port,host:port,…" $zookeeper.connect .) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.image" -}}
{{- range $name := list "repository" "tag" }}
{{- if not (get $ $name) }}
{{- fail (printf "images.zookeeper.%s is empty. Set repository and tag to an image with Pulsar in /pulsar, such as apachepulsar/pulsar and 4.0.8" $name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses names and addresses of the cluster that Pulsar and the restore refuse. */}}
{{- define "pulsar.validate.metadata" -}}
{{- if not (regexMatch "^[-=:.A-Za-z0-9_]*$" (.clusterName | default "")) }}
{{- fail (printf "pulsar_metadata.clusterName is %q. Set it to letters, digits, '_', '=', '.', '-' and colons" .clusterName) }}
{{- end }}
{{- range $name := list "webServiceUrl" "brokerServiceUrl" }}
{{- if not (regexMatch "^([a-z+]+://[!-~]+)?$" (get $ $name | default "")) }}
{{- fail (printf "pulsar_metadata.%s is %q. Set it to an address, <scheme>://<host>:<port>" $name (get $ $name)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses secrets, because they would be stored in a ConfigMap. Call with (dict "key" path "values" map). */}}
{{- define "pulsar.validate.environment" -}}
{{- $key := .key }}
{{- $program := include "pulsar.program" . | fromJson }}
{{- range $name, $value := .values }}
{{- if or (has $name $program.secret) (regexMatch "://[^/]*@" (toString $value)) }}
{{- fail (printf "%s.%s is a secret, and would be stored in a ConfigMap. Use secrets, or extraEnv with a secretKeyRef" $key $name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Checks the configData of backup or restore, as the program does. Call as "pulsar.validate.environment". */}}
{{- define "pulsar.validate.variables" -}}
{{- include "pulsar.validate.environment" . }}
{{- $program := include "pulsar.program" . | fromJson }}
{{- $key := .key }}
{{- range $name, $value := .values }}
{{- if has $name $program.set_by_chart }}
{{- fail (printf "%s.%s is set by the chart from other values. Remove it" $key $name) }}
{{- end }}
{{- if hasPrefix "PULSAR_PREFIX_" $name }}
{{- fail (printf "%s.%s has no effect, because the program does not read files of Pulsar's configuration. Remove it" $key $name) }}
{{- end }}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) }}
{{- if hasKey $program.numbers $name }}
{{- include "pulsar.validate.number" (dict "key" (printf "%s.%s" $key $name) "value" $value "variable" $name) }}
{{- end }}
{{- $fraction := get $program.fractions $name }}
{{- if and $fraction (not (regexMatch "^(0([.][0-9]{1,10})?|1([.]0{1,10})?)$" (toString $value))) }}
{{- fail (printf "%s.%s is %q. It must be %s" $key $name (toString $value) $fraction.expected) }}
{{- end }}
{{- $choices := get $program.choices $name }}
{{- $chosen := ternary (lower (toString $value)) (toString $value) (hasPrefix "LOG_" $name) }}
{{- if and $choices (not (has $chosen $choices.values)) }}
{{- fail (printf "%s.%s is %q. It must be %s" $key $name (toString $value) $choices.expected) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses variables that probes, Services and alerts rely on. A login may come from elsewhere. */}}
{{- define "pulsar.validate.extraEnv" -}}
{{- $set := (include "pulsar.program" . | fromJson).set_by_chart }}
{{- range .values }}
{{- if and (has .name $set) (not (regexMatch "^(KRB5_|(S3|TIERED_STORAGE)_CREDENTIALS_|ZOOKEEPER_(SASL|TLS))" .name)) }}
{{- fail (printf "%s sets %s, which the chart sets from other values. Remove it" $.key .name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.objectStore" -}}
{{- $key := "zookeeper.customTools.objectStore" }}
{{- include "pulsar.validate.environment" (dict "key" $key "values" (dict "endpoint" .endpoint)) }}
{{- if and .endpoint (not (regexMatch "^https?://[^/ ]+(/[^ ]*)?$" .endpoint)) }}
{{- fail (printf "%s.endpoint is %q. Set it to https://<host>[:<port>]" $key .endpoint) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.tool" -}}
{{- $key := printf "zookeeper.customTools.%s" .tool }}
{{- $secrets := .values.secrets | default dict }}
{{- if and $secrets.use (not ($secrets.aws).secretName) }}
{{- fail (printf "%s.secrets.aws.secretName is empty, but secrets.use is true. Set it to the name of a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" $key) }}
{{- end }}
{{- include "pulsar.validate.variables" (dict "key" (printf "%s.configData" $key) "values" .values.configData) }}
{{- include "pulsar.validate.extraEnv" (dict "key" (printf "%s.extraEnv" $key) "values" .values.extraEnv) }}
{{- $chroot := .values.chroot | default "" }}
{{- if and $chroot (ne "true" (include "pulsar.isZnode" $chroot)) }}
{{- fail (printf "%s.chroot is %q. Set it to the path of a znode, such as /pulsar, or leave it empty" $key $chroot) }}
{{- end }}
{{- if or (not .values.managedLedgerPath) (ne "true" (include "pulsar.isZnode" .values.managedLedgerPath)) }}
{{- fail (printf "%s.managedLedgerPath is %q. Set it to the path of a znode, such as /managed-ledgers" $key .values.managedLedgerPath) }}
{{- end }}
{{- end }}

{{/* Call with (dict "key" path "value" number or text "variable" name of the program's variable). */}}
{{- define "pulsar.validate.number" -}}
{{- $limits := get (include "pulsar.program" . | fromJson).numbers .variable }}
{{- $value := include "pulsar.number" .value }}
{{- $whole := regexMatch "^(0|[1-9][0-9]{0,15})$" $value }}
{{- if or (not $whole) (lt (atoi $value) (int $limits.low)) (gt (atoi $value) (int $limits.high)) }}
{{- fail (printf "%s is %q. It must be %s" .key $value $limits.expected) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.bucket" -}}
{{- if not .bucket }}
{{- fail (printf "%s.bucket is empty. Set it to s3a://<bucket> or s3a://<bucket>/<path>" .key) }}
{{- end }}
{{- if or (not (regexMatch "^(s3a?://[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9](/[A-Za-z0-9!_.*'()=+@,:-]+)*/?|file://(/[^/]+)+/?)$" .bucket)) (regexMatch "/[.][.]?(/|$)" .bucket) }}
{{- fail (printf "%s.bucket is not the address of a bucket. Set it to s3a://<bucket> or s3a://<bucket>/<path>" .key) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.backup" -}}
{{- $key := "zookeeper.customTools.backup" }}
{{- include "pulsar.validate.number" (dict "key" (printf "%s.backupInterval" $key) "value" .backupInterval "variable" "BACKUP_INTERVAL") }}
{{- include "pulsar.validate.number" (dict "key" (printf "%s.webServerPort" $key) "value" .webServerPort "variable" "WEB_SERVER_PORT") }}
{{- with .scrub }}
{{- if and (not (kindIs "invalid" .interval)) (ne "" (toString .interval)) }}
{{- include "pulsar.validate.number" (dict "key" (printf "%s.scrub.interval" $key) "value" .interval "variable" "SCRUB_INTERVAL") }}
{{- end }}
{{- include "pulsar.validate.number" (dict "key" (printf "%s.scrub.requests" $key) "value" .requests "variable" "SCRUB_REQUESTS") }}
{{- end }}
{{- include "pulsar.validate.bucket" (dict "key" $key "bucket" .bucket) }}
{{- include "pulsar.validate.prefix" . }}
{{- with .copies }}
{{- include "pulsar.validate.copies" . }}
{{- end }}
{{- with .encryption }}
{{- include "pulsar.validate.encryption" . }}
{{- end }}
{{- with .retention | default "" | trim }}
{{- include "pulsar.validate.retention" (dict "key" (printf "%s.retention" $key) "value" .) }}
{{- end }}
{{- end }}

{{/* Call with (dict "key" path "value" rules). */}}
{{- define "pulsar.validate.retention" -}}
{{- $known := (include "pulsar.program" . | fromJson).retention }}
{{- $names := list }}
{{- range $part := splitList "," .value }}
{{- $names = append $names (regexReplaceAll "^\\s*([a-z]+)=[0-9]{1,6}\\s*$" $part "${1}") }}
{{- end }}
{{- $wrong := false }}
{{- range $name := $names }}
{{- if not (has $name $known.rules) }}{{ $wrong = true }}{{ end }}
{{- end }}
{{- if or $wrong (ne (len $names) (len (uniq $names))) (not (regexMatch "=0*[1-9]" .value)) }}
{{- fail (printf "%s is %q. Set it to rules such as %s, each of %s once, and one of them above 0" .key .value $known.example (join ", " $known.rules)) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.prefix" -}}
{{- if or (not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$" .backupPrefix)) (hasSuffix "-suspect" .backupPrefix) }}
{{- fail (printf "zookeeper.customTools.backup.backupPrefix is %q. Set it to letters, digits, '.', '_' and '-', up to 200 of them, not ending with -suspect" .backupPrefix) }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.restore" -}}
{{- $key := "zookeeper.customTools.restore" }}
{{- with .Values.zookeeper.customTools.restore.bucket }}
{{- include "pulsar.validate.bucket" (dict "key" $key "bucket" .) }}
{{- end }}
{{- $restore := .Values.zookeeper.customTools.restore }}
{{- if not .Values.components.zookeeper }}
{{- fail (printf "%s.enable is true, but components.zookeeper is false, and a restore fills only the volumes of the chart's own members. Set one of them to the other value" $key) }}
{{- end }}
{{- if not .Values.zookeeper.volumes.persistence }}
{{- fail (printf "%s.enable is true, but zookeeper.volumes.persistence is false, so each restart of a pod would restore again and lose later changes. Set persistence to true, or disable the restore" $key) }}
{{- end }}
{{- if not $restore.restorePoint }}
{{- fail (printf "%s.restorePoint is empty. Set it to s3a://<bucket>/<prefix>-<epoch ms>.tar.gz, as GET /backup/list showed it, or to latest" $key) }}
{{- end }}
{{- if eq $restore.restorePoint "latest" }}
{{- include "pulsar.validate.bucket" (dict "key" $key "bucket" $restore.bucket) }}
{{- include "pulsar.validate.prefix" .Values.zookeeper.customTools.backup }}
{{- else if not (and (regexMatch "^(s3a?://[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9](/[A-Za-z0-9!_.*'()=+@,:-]+)*|file://(/[^/]+)+)/[A-Za-z0-9][A-Za-z0-9._-]{0,199}-(0|[1-9][0-9]{0,13})[.]tar[.]gz$" $restore.restorePoint) (not (regexMatch "/[.][.]?/" $restore.restorePoint))) }}
{{- fail (printf "%s.restorePoint is not the address of a backup. Set it to s3a://<bucket>/<prefix>-<epoch ms>.tar.gz, as GET /backup/list showed it, or to latest" $key) }}
{{- end }}
{{- $version := kindIs "invalid" $restore.restoreVersion | ternary "" (include "pulsar.number" $restore.restoreVersion) }}
{{- if or (not (regexMatch "^.{1,100}$" $version)) (ne $version (include "pulsar.printable" $version)) }}
{{- fail (printf "%s.restoreVersion is empty, has more than 100 characters, or has characters that cannot be printed. Set it to a number such as 2" $key) }}
{{- end }}
{{- end }}
