"""Every metric, in base units; lags are exported as timestamps too, so that a query can tell idle from stuck."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

CDC_ROWS = Counter("tidemark_cdc_rows", "Row changes published", ["table"])
CDC_BYTES = Counter("tidemark_cdc_bytes", "Bytes of events published")
CDC_TRANSACTION = Histogram("tidemark_cdc_publish_seconds", "One Kafka transaction", buckets=_LATENCY_S)
CDC_LAST_COMMIT = Gauge("tidemark_cdc_last_event_timestamp_seconds", "Commit time of the last event published")
CDC_LAST_PROGRESS = Gauge("tidemark_cdc_last_progress_timestamp_seconds", "When the position last moved")
CDC_DDL_IGNORED = Counter("tidemark_cdc_ddl_ignored", "Statements that documents do not show, by choice", ["table"])
CDC_OMITTED_COLUMNS = Counter(
    "tidemark_cdc_omitted_columns", "Columns left out of events that would be too large", ["table"]
)
CDC_UNDECODABLE_VALUES = Counter(
    "tidemark_cdc_undecodable_values", "Values published as base64, being no text in their character set", ["table"]
)
CDC_RESTARTS = Counter("tidemark_cdc_restarts", "Sessions begun again after a lost connection")

SINK_ITEMS = Counter("tidemark_sink_items", "Bulk items by outcome", ["index", "outcome"])
SINK_BULK = Histogram("tidemark_sink_bulk_seconds", "One bulk request", buckets=_LATENCY_S)
SINK_BATCH_BYTES = Gauge("tidemark_sink_batch_bytes", "The present bound of a batch", ["lane"])
SINK_LAG = Gauge("tidemark_sink_offset_lag", "Records not yet committed", ["topic", "partition"])
SINK_LAST_COMMIT = Gauge("tidemark_sink_last_event_timestamp_seconds", "Commit time of the last event indexed")
SINK_DEAD_LETTERS = Counter("tidemark_sink_deadletter", "Records sent to the dead-letter topic", ["reason"])
SINK_PAUSED = Gauge("tidemark_sink_paused", "Partitions paused because lanes are full")

AUDIT_KEYS = Counter("tidemark_audit_keys_checked", "Keys checked", ["table"])
