"""What `/status` of a service, `tidemark status --json` and the page show."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Status(BaseModel):
    """One service. `details` is the service's own: positions, offsets, lags; a seq in it is a string."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["tidemark.service/1"] = Field("tidemark.service/1", alias="schema")
    service: Literal["cdc", "sink", "audit"]
    name: str
    version: str
    state: Literal["starting", "running", "stopping", "failed"]
    ready: bool
    reason: str = ""
    since: datetime
    details: dict[str, object] = {}
