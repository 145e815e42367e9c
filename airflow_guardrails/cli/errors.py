"""Errors that end a command with a text for its user."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot do what it was asked for; the text says why. The exit status is 2."""
