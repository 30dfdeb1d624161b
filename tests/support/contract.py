"""What users were promised, written down once and apart from the program."""

METRICS = {
    "backup_count": "counter",
    "backup_failure_count": "counter",
    "backup_size_non_compressed": "gauge",
    "backup_size_compressed": "gauge",
    "backup_size_total": "gauge",
    "backup_execution_time_total": "gauge",
    "backup_execution_time_prepare": "gauge",
    "backup_execution_time_compression": "gauge",
    "backup_execution_time_upload": "gauge",
}
"""Sample names and their types."""
