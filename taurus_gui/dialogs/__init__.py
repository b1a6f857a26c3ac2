"""Questions the windows ask a person."""
