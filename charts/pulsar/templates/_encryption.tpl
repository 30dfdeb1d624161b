{{/* Keys of encrypted backups. They are mounted as files, so that they rotate without a restart. */}}

{{/* "true" if backups are encrypted. Call with the root. */}}
{{- define "pulsar.encryption.on" -}}
{{- if ((.Values.zookeeper.customTools.backup).encryption).recipients }}true{{ end }}
{{- end }}

{{/* Variables of what encrypts and signs. Call with the root. */}}
{{- define "pulsar.encryption.writer.env" -}}
{{- if eq "true" (include "pulsar.encryption.on" .) }}
- {name: ENCRYPTION_RECIPIENT, value: {{ join "," .Values.zookeeper.customTools.backup.encryption.recipients | quote }}}
- {name: SIGNING_KEY_FILE, value: /etc/signing-key/signing.pem}
{{- end }}
{{- end }}

{{- define "pulsar.encryption.writer.mounts" -}}
{{- if eq "true" (include "pulsar.encryption.on" .) }}
- {name: signing-key, mountPath: /etc/signing-key, readOnly: true}
{{- end }}
{{- end }}

{{- define "pulsar.encryption.writer.volumes" -}}
{{- if eq "true" (include "pulsar.encryption.on" .) }}
- name: signing-key
  secret:
    secretName: {{ .Values.zookeeper.customTools.backup.encryption.signingSecretName | quote }}
    defaultMode: 0440
    items: [{key: signing.pem, path: signing.pem}]
{{- end }}
{{- end }}

{{/* Variables of what opens backups. Call with `encryption` of a restore or of drills. */}}
{{- define "pulsar.encryption.reader.env" -}}
{{- if (. | default dict).secretName }}
- {name: ENCRYPTION_IDENTITY_FILE, value: /etc/backup-keys/identity.txt}
{{- if .signed }}
- {name: SIGNING_PUBLIC_KEY_FILE, value: /etc/backup-keys/signing.pub}
{{- end }}
{{- end }}
{{- end }}

{{- define "pulsar.encryption.reader.mounts" -}}
{{- if (. | default dict).secretName }}
- {name: backup-keys, mountPath: /etc/backup-keys, readOnly: true}
{{- end }}
{{- end }}

{{- define "pulsar.encryption.reader.volumes" -}}
{{- if (. | default dict).secretName }}
- name: backup-keys
  secret: {secretName: {{ .secretName | quote }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* A restore that saves what it makes of tiered storage encrypts that, too. "true" if so. Call with the root. */}}
{{- define "pulsar.encryption.restoreWrites" -}}
{{- $restore := .Values.zookeeper.customTools.restore }}
{{- if and (eq "true" (include "pulsar.encryption.on" .)) ($restore.encryption).secretName ($restore.tieredStorage).reconcile }}true{{ end }}
{{- end }}

{{/* Call with `encryption` of the backup. */}}
{{- define "pulsar.validate.encryption" -}}
{{- $key := "zookeeper.customTools.backup.encryption" }}
{{- if and .recipients (not .signingSecretName) }}
{{- fail (printf "%s.recipients is set, but %s.signingSecretName is empty. Set it to the name of a Secret with signing.pem, because encrypted backups are signed" $key $key) }}
{{- end }}
{{- if and .signingSecretName (not .recipients) }}
{{- fail (printf "%s.signingSecretName is set, but %s.recipients is empty. Set both, or neither" $key $key) }}
{{- end }}
{{- range .recipients }}
{{- if not (regexMatch "^age1[0-9a-z]{58}$" .) }}
{{- fail (printf "%s.recipients has a text that is not a public key of age. Set it to what metadata-tool make-keys prints, which starts with age1" $key) }}
{{- end }}
{{- end }}
{{- end }}
