"""The one exception for what a user can get wrong."""


class UserError(Exception):
    """A mistake the user can mend. The message is one line: key, value, what is allowed, what to do."""
