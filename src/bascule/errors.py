"""Errors that cross a package boundary; all others are local types."""

from __future__ import annotations


class BasculeError(Exception):
    """Base of every error raised on purpose; anything else is a bug.

    The message is for people: lower case, no full stop, parameters in backticks, never a
    secret. The command line prints it and exits 3.
    """
