"""What a plan tells the NeXus writer about its technique, as metadata of the run: the writer itself stays generic.

A plan puts `Layout(…).to_metadata()` under the key `nexus` of its metadata. The layout names groups of the entry, their
NeXus classes, and for each field where its values come from: a recorded key, a constant, or minus the logarithm of the
ratio of two recorded keys (absorption). The application definition is claimed only if every recorded key is there.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

METADATA_KEY = "nexus"
"""Key of the start document under which the layout stands."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldLayout(_Model):
    """One field; exactly one of `key`, `value` and `log_ratio` is given."""

    key: str | None = Field(default=None, description="recorded key whose values these are (a link, no copy)")
    value: str | float | int | list[float] | None = Field(default=None, description="a constant")
    log_ratio: tuple[str, str] | None = Field(
        default=None, description="keys (I0, I1): the field is −ln(I1/I0), no unit"
    )
    units: str = Field(default="", description="unit of a constant; recorded keys bring their own")
    long_name: str = Field(default="", description="label of an axis in a plot")
    per_point: bool = Field(
        default=False, description="a constant list with one item per planned point; cut to those measured"
    )


class GroupLayout(_Model):
    """One group below the entry."""

    path: str = Field(
        description="where, below the entry: 'instrument/monochromator'", pattern=r"^[a-z_]\w*(/[a-z_]\w*)*$"
    )
    nx_class: str
    fields: dict[str, FieldLayout]
    signal: str = Field(default="", description="for NXdata: which field is plotted")
    axes: str = Field(default="", description="for NXdata: against which field")
    default: str = Field(default="", description="the group in it that a viewer plots first")


class Layout(_Model):
    """What the entry of one run contains beside what every entry contains."""

    definition: str = Field(default="", description="NeXus application definition that the groups fulfil")
    default: str = Field(default="data", description="the group that a viewer plots first")
    groups: tuple[GroupLayout, ...]

    def keys(self) -> set[str]:
        """Every recorded key that a field needs."""
        fields = [field for group in self.groups for field in group.fields.values()]
        return {f.key for f in fields if f.key} | {key for f in fields for key in f.log_ratio or ()}

    def to_metadata(self) -> dict[str, Any]:
        """The form that fits into a start document."""
        return self.model_dump(mode="json", exclude_defaults=True)


def read_layout(start: dict[str, Any]) -> Layout | None:
    """The layout in a start document, None where the plan gave none.

    Raises:
        pydantic.ValidationError: there is one, but it does not have the form above.
    """
    found = start.get(METADATA_KEY)
    return None if found is None else Layout.model_validate(found)
