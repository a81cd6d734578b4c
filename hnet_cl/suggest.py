"""The nearest real name to a mistyped one."""

import difflib
from collections.abc import Sequence


def nearest(name: str, names: Sequence[str]) -> str:
    """An ending for «no such ...»: the most similar real name, or all of them if they are few."""
    similar = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if similar:
        return f"; did you mean {similar[0]}?"
    listed = [other for other in names if "." not in other] if len(names) > 20 else names
    return f"; there are {', '.join(sorted(listed))}" if listed else ""
