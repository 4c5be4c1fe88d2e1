"""The base exceptions of the house.

The message of a :class:`HistoaugError` is the sentence a user reads: what is wrong, with which
file or feature, and what to do about it. It is shown as it is, without a traceback.
"""


class HistoaugError(Exception):
    """Something a user can understand and act on; its message is one plain sentence."""


class Cancelled(HistoaugError):
    """Work stopped because the user asked for it; nothing was written."""
