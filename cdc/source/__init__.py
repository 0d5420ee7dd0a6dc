"""Sources of change events: one seam, several engines."""

from cdc.source.seam import Batch, ChangeSource, Ddl, DdlKind, Record, Router

__all__ = ["Batch", "ChangeSource", "Ddl", "DdlKind", "Record", "Router"]
