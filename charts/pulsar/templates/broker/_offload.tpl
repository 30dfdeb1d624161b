{{/* Tiered storage of the brokers (broker.storageOffload). */}}

{{/* Lines of broker.conf, as JSON. Each driver has its own names for bucket, region, endpoint and sizes. */}}
{{- define "pulsar.offload.settings" -}}
{{- $offload := .Values.broker.storageOffload -}}
{{- $settings := dict -}}
{{- if $offload.driver }}
{{- $prefix := get (dict "aws-s3" "s3ManagedLedgerOffload" "google-cloud-storage" "gcsManagedLedgerOffload") $offload.driver | default "managedLedgerOffload" }}
{{- $_ := set $settings "managedLedgerOffloadDriver" $offload.driver }}
{{- range $name, $value := dict "Bucket" $offload.bucket "Region" $offload.region "ServiceEndpoint" $offload.serviceEndpoint "MaxBlockSizeInBytes" $offload.maxBlockSizeInBytes "ReadBufferSizeInBytes" $offload.readBufferSizeInBytes }}
{{- if $value }}{{ $_ := set $settings (printf "%s%s" $prefix $name) (include "pulsar.number" $value) }}{{ end }}
{{- end }}
{{- range $name := list "managedLedgerOffloadAutoTriggerSizeThresholdBytes" "managedLedgerOffloadDeletionLagMs" }}
{{- $value := get $offload $name }}
{{- if and (not (kindIs "invalid" $value)) (ne "" (toString $value)) }}{{ $_ := set $settings $name (include "pulsar.number" $value) }}{{ end }}
{{- end }}
{{- with $offload.gcsServiceAccountSecret }}
{{- $_ := set $settings "gcsManagedLedgerOffloadServiceAccountKeyFile" (printf "/etc/offload-account/%s" ($offload.gcsServiceAccountJsonFile | default "google-service-account-key.json")) }}
{{- end }}
{{- end }}
{{- toJson $settings }}
{{- end }}

{{/*
Options of Java. With an endpoint of its own, the driver aws-s3 would still ask Amazon for the bucket's region before each
request, unless there is only one region.
*/}}
{{- define "pulsar.offload.options" -}}
{{- $offload := .Values.broker.storageOffload -}}
{{- if and (eq ($offload.driver | default "") "aws-s3") $offload.serviceEndpoint -}}
-Djclouds.regions={{ $offload.region }}
{{- end -}}
{{- end }}

{{/* The keys as environment. The driver aws-s3 reads AWS_*, and the driver S3 reads the others. */}}
{{- define "pulsar.offload.env" -}}
{{- $offload := .Values.broker.storageOffload }}
{{- if and $offload.driver $offload.secret }}
{{- $keys := dict "AWS_ACCESS_KEY_ID" "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SECRET_ACCESS_KEY" "ACCESS_KEY_ID" "AWS_ACCESS_KEY_ID" "ACCESS_KEY_SECRET" "AWS_SECRET_ACCESS_KEY" }}
{{- if eq $offload.driver "azureblob" }}
{{- $keys = dict "AZURE_STORAGE_ACCOUNT" "AZURE_STORAGE_ACCOUNT" "AZURE_STORAGE_ACCESS_KEY" "AZURE_STORAGE_ACCESS_KEY" }}
{{- end }}
{{- range $name, $key := $keys }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $offload.secret | quote }}, key: {{ $key }}}}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.offload.mounts" -}}
{{- with .Values.broker.storageOffload }}
{{- if and .driver .gcsServiceAccountSecret }}
- {name: offload-account, mountPath: /etc/offload-account, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.offload.volumes" -}}
{{- with .Values.broker.storageOffload }}
{{- if and .driver .gcsServiceAccountSecret }}
- name: offload-account
  secret: {secretName: {{ .gcsServiceAccountSecret | quote }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.validate.offload" -}}
{{- $offload := .Values.broker.storageOffload }}
{{- if and $offload.driver (not $offload.bucket) }}
{{- fail "broker.storageOffload.bucket is empty, but storageOffload.driver is set. Set it to the name of the bucket" }}
{{- end }}
{{- if and $offload.driver $offload.region (not (regexMatch "^[A-Za-z0-9_-]+$" $offload.region)) }}
{{- fail (printf "broker.storageOffload.region is %q. Set it to the name of a region, such as eu-central-1" $offload.region) }}
{{- end }}
{{- if and (eq ($offload.driver | default "") "aws-s3") $offload.serviceEndpoint (not $offload.region) }}
{{- fail "broker.storageOffload.region is empty, but serviceEndpoint is set. Set it to the region of the bucket, or to us-east-1 if your object store has no regions" }}
{{- end }}
{{- $repository := .Values.images.broker.repository | default .Values.images.zookeeper.repository }}
{{- if and $offload.driver (regexMatch "(^|/)apachepulsar/pulsar$" $repository) }}
{{- fail (printf "broker.storageOffload.driver is %s, but the image %s has no offloaders. Set images.broker.repository to apachepulsar/pulsar-all" $offload.driver $repository) }}
{{- end }}
{{- end }}
