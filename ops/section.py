"""What every section of the settings is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

ColumnNames = list[Annotated[str, Field(min_length=1)]]


class Section(BaseModel):
    """A section of the file: unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
