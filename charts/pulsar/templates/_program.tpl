{{/* The limits of the program's variables, written by `make docs`. Use it with fromJson. */}}
{{- define "pulsar.program" -}}
{
  "numbers": {
    "ZOOKEEPER_CONNECT_TIMEOUT": {
      "low": 1,
      "high": 86400,
      "expected": "a number of seconds from 1 to 86400"
    },
    "ZOOKEEPER_MULTI_READ_SIZE": {
      "low": 1,
      "high": 4096,
      "expected": "a number of znodes from 1 to 4096"
    },
    "ZOOKEEPER_MULTI_READS_IN_FLIGHT": {
      "low": 1,
      "high": 64,
      "expected": "a number of requests from 1 to 64"
    },
    "ZOOKEEPER_ACL_CONNECTIONS": {
      "low": 0,
      "high": 64,
      "expected": "a number of sessions from 0 to 64"
    },
    "ZOOKEEPER_ACL_BATCH": {
      "low": 1,
      "high": 1000,
      "expected": "a number of requests from 1 to 1000"
    },
    "BACKUP_INTERVAL": {
      "low": 1,
      "high": 31536000,
      "expected": "a number of seconds from 1 to 31536000"
    },
    "WEB_SERVER_PORT": {
      "low": 1,
      "high": 65535,
      "expected": "a number from 1 to 65535"
    },
    "JUTE_MAXBUFFER": {
      "low": 4096,
      "high": 1073741823,
      "expected": "a number of bytes from 4096 to 1073741823"
    },
    "ZOOKEEPER_ADMIN_PORT": {
      "low": 1,
      "high": 65535,
      "expected": "a number from 1 to 65535"
    },
    "CACHE_SIZE": {
      "low": 1,
      "high": 1048576,
      "expected": "a number of MiB from 1 to 1048576"
    },
    "SCRUB_INTERVAL": {
      "low": 1,
      "high": 31536000,
      "expected": "a number of seconds from 1 to 31536000"
    },
    "SCRUB_REQUESTS": {
      "low": 1,
      "high": 64,
      "expected": "a number of requests from 1 to 64"
    },
    "BROKER_TIMEOUT": {
      "low": 1,
      "high": 86400,
      "expected": "a number of seconds from 1 to 86400"
    },
    "BROKER_REQUESTS": {
      "low": 1,
      "high": 64,
      "expected": "a number of requests from 1 to 64"
    },
    "BROKER_REQUEST_RATE": {
      "low": 1,
      "high": 10000,
      "expected": "a number of requests from 1 to 10000"
    }
  },
  "fractions": {
    "MAX_SHRINK": {
      "expected": "a fraction from 0 to 1, such as 0.5"
    }
  },
  "choices": {
    "ZOOKEEPER_TLS": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "ZOOKEEPER_TLS_CHECK_HOSTNAME": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "ZOOKEEPER_SASL_MECHANISM": {
      "values": [
        "DIGEST-MD5",
        "GSSAPI"
      ],
      "expected": "DIGEST-MD5 or GSSAPI"
    },
    "ALLOW_OLDER": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "ALLOW_PARTIAL": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "OVERWRITE_EXISTING": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "RESTORE_SCOPE": {
      "values": [
        "bookies-lost",
        "bookies-kept"
      ],
      "expected": "bookies-lost or bookies-kept"
    },
    "RENAME_CLUSTER": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "INFINITE_RETENTION": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "S3_ADDRESSING_STYLE": {
      "values": [
        "auto",
        "path",
        "virtual"
      ],
      "expected": "auto, path or virtual"
    },
    "S3_CHECKSUMS": {
      "values": [
        "auto",
        "on",
        "off"
      ],
      "expected": "auto, on or off"
    },
    "VERIFY": {
      "values": [
        "full",
        "checksum"
      ],
      "expected": "full or checksum"
    },
    "S3_SERVER_SIDE_ENCRYPTION": {
      "values": [
        "AES256",
        "aws:kms",
        "aws:kms:dsse"
      ],
      "expected": "AES256, aws:kms or aws:kms:dsse"
    },
    "S3_OBJECT_ACL": {
      "values": [
        "private",
        "bucket-owner-read",
        "bucket-owner-full-control"
      ],
      "expected": "private, bucket-owner-read or bucket-owner-full-control"
    },
    "S3_REQUESTER_PAYS": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "TIERED_STORAGE_ADDRESSING_STYLE": {
      "values": [
        "auto",
        "path",
        "virtual"
      ],
      "expected": "auto, path or virtual"
    },
    "TIERED_STORAGE_RECONCILE": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "TIERED_STORAGE_DRIVER": {
      "values": [
        "S3",
        "aws-s3",
        "google-cloud-storage",
        "aliyun-oss"
      ],
      "expected": "S3, aws-s3, google-cloud-storage or aliyun-oss"
    },
    "SCRUB_LIST_ONLY": {
      "values": [
        "true",
        "false"
      ],
      "expected": "true or false"
    },
    "LOG_FORMAT": {
      "values": [
        "text",
        "json"
      ],
      "expected": "text or json"
    },
    "LOG_LEVEL": {
      "values": [
        "debug",
        "info",
        "warning",
        "error"
      ],
      "expected": "debug, info, warning or error"
    }
  },
  "retention": {
    "rules": [
      "last",
      "hours",
      "hourly",
      "daily",
      "weekly",
      "monthly",
      "yearly"
    ],
    "example": "hours=48,daily=14,weekly=8,monthly=12"
  },
  "of_a_copy": [
    "AWS_REGION",
    "S3_ADDRESSING_STYLE",
    "S3_CHECKSUMS",
    "S3_EXPECTED_BUCKET_OWNER",
    "S3_KMS_KEY_ID",
    "S3_OBJECT_ACL",
    "S3_REQUESTER_PAYS",
    "S3_SERVER_SIDE_ENCRYPTION",
    "S3_STORAGE_CLASS"
  ],
  "secret": [
    "ADMIN_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "BROKER_TOKEN",
    "HEARTBEAT_URL",
    "TIERED_STORAGE_ACCESS_KEY_ID",
    "TIERED_STORAGE_SECRET_ACCESS_KEY",
    "ZOOKEEPER_AUTH",
    "ZOOKEEPER_SASL_PASSWORD",
    "ZOOKEEPER_TLS_KEY_PASSWORD"
  ],
  "set_by_chart": [
    "ADMIN_TOKEN_FILE",
    "ALLOW_OLDER",
    "ALLOW_PARTIAL",
    "BACKUP_COPIES",
    "BACKUP_INTERVAL",
    "BACKUP_PREFIX",
    "BROKER_REQUESTS",
    "BROKER_REQUEST_RATE",
    "BROKER_SERVICE_URL",
    "BROKER_TIMEOUT",
    "BROKER_TLS_CA",
    "BROKER_TLS_CERT",
    "BROKER_TLS_KEY",
    "BROKER_TOKEN_FILE",
    "BUCKET",
    "CLUSTER_BROKER_SERVICE_URL",
    "CLUSTER_NAME",
    "CLUSTER_SERVICE_URL",
    "DRILL_SERVER",
    "ENCRYPTION_IDENTITY_FILE",
    "ENCRYPTION_RECIPIENT",
    "INFINITE_RETENTION",
    "JUTE_MAXBUFFER",
    "KRB5_CONFIG",
    "MANAGED_LEDGER_PATH",
    "NEWER_BACKUPS_IN",
    "OVERWRITE_EXISTING",
    "RENAME_CLUSTER",
    "RESTORE_POINT",
    "RESTORE_SCOPE",
    "RESTORE_VERSION",
    "RETENTION",
    "S3_CREDENTIALS_DIR",
    "SCRUB_INTERVAL",
    "SCRUB_LIST_ONLY",
    "SIGNING_KEY_FILE",
    "SIGNING_PUBLIC_KEY_FILE",
    "SPOOL_DIR",
    "TIERED_STORAGE_BUCKETS",
    "TIERED_STORAGE_CREDENTIALS_DIR",
    "TIERED_STORAGE_RECONCILE",
    "VERIFY",
    "WEB_SERVER_PORT",
    "ZOOKEEPER_ADMIN_ADDRESS",
    "ZOOKEEPER_ADMIN_PORT",
    "ZOOKEEPER_DATA_DIR",
    "ZOOKEEPER_DATA_LOG_DIR",
    "ZOOKEEPER_SASL_KEYTAB",
    "ZOOKEEPER_SASL_MECHANISM",
    "ZOOKEEPER_SASL_PRINCIPAL",
    "ZOOKEEPER_SASL_SERVICE",
    "ZOOKEEPER_SASL_USER",
    "ZOOKEEPER_SERVERS",
    "ZOOKEEPER_TLS",
    "ZOOKEEPER_TLS_CA",
    "ZOOKEEPER_TLS_CERT",
    "ZOOKEEPER_TLS_CHECK_HOSTNAME",
    "ZOOKEEPER_TLS_KEY"
  ]
}
{{- end }}
