"""Data sets that ship with samespace, small enough to try it without a download."""
