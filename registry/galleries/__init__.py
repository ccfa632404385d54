"""Where a segment's vectors lie, how they are indexed, and how many segments are searched as one.

This package knows neither SQL nor torch. It writes files and returns what a database row has to
say of them; it opens exactly what a row names.
"""
