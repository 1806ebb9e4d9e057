"""The errors that are meant for the person at the keyboard. Nothing else belongs here."""


class UserError(Exception):
    """Something the user can put right: says what is wrong, where, and what to do, in one sentence.

    Commands print the message without a traceback and exit with status 1; in a Dagster run it is
    the failure's description.
    """


class UnreachableError(UserError):
    """A server that does not answer, or has no connection left: trying again later may help."""
