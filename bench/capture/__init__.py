"""Capture: the same backlog from the same MySQL into the same Kafka, by tidemark and by Debezium, turn by turn."""
