"""A style whose answers are remembered: prompt_toolkit works out the colours of every word anew for each line."""

from __future__ import annotations

from collections.abc import Hashable

from prompt_toolkit.styles import Attrs, BaseStyle
from prompt_toolkit.styles.base import DEFAULT_ATTRS


class RememberedStyle(BaseStyle):
    """`style`, asked once for each style string until the person chooses other colours."""

    def __init__(self, style: BaseStyle) -> None:
        self._style = style
        self._known: dict[str, Attrs] = {}
        self._key: Hashable = None

    def renew(self) -> RememberedStyle:
        """Forget what was true of other colours; returns itself."""
        key = self._style.invalidation_hash()
        if key != self._key:
            self._key, self._known = key, {}
        return self

    def get_attrs_for_style_str(self, style_str: str, default: Attrs = DEFAULT_ATTRS) -> Attrs:
        """The attributes of text with this style string."""
        if default is not DEFAULT_ATTRS:
            return self._style.get_attrs_for_style_str(style_str, default)
        found = self._known.get(style_str)
        if found is None:
            found = self._known[style_str] = self._style.get_attrs_for_style_str(style_str, default)
        return found

    @property
    def style_rules(self) -> list[tuple[str, str]]:
        """The rules of the style."""
        return self._style.style_rules

    def invalidation_hash(self) -> Hashable:
        """Changes with the style."""
        return self._style.invalidation_hash()
