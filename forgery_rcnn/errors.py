"""The one error a user meets."""

from __future__ import annotations


class InputError(Exception):
    """Something given by the user is wrong. The message is one line: the thing, what was found, the fix."""
