"""Suggestions for mistyped names, as endings of error messages."""

import difflib
from collections.abc import Iterable, Sequence

MANY = 30  # of more keys than that, only those of the first level are listed
MANY_CHOICES = 60  # of more choices than that, only the nearest are listed


def nearest(name: str, names: Sequence[str]) -> str:
    """Returns an ending for "no such ...": the most similar name, or else all names (of many, the undotted ones)."""
    if similar := _similar(name, names):
        return f"; did you mean {similar}?"
    listed = [other for other in names if "." not in other] if len(names) > MANY else names
    return f"; there are {', '.join(sorted(listed))}" if listed else ""


def nearest_key(key: str, keys: Sequence[str]) -> str:
    """Returns an ending for "no such key": a similar key with the same parent, else all of these, else `nearest`."""
    parent, dot, leaf = key.rpartition(".")
    keys = [name for name in keys if name != key and (not name.endswith("._target_") or leaf.startswith("_"))]
    beside = [name.rpartition(".")[2] for name in keys if name.rpartition(".")[0] == parent]
    if similar := _similar(leaf, beside):
        return f"; did you mean {parent}{dot}{similar}?"
    if beside and dot:
        return f"; there are {', '.join(parent + dot + name for name in sorted(beside))}"
    return nearest(key, keys)


def elsewhere(key: str, value: object, groups: Iterable[str]) -> str:
    """Returns an ending for "no such key" if the last part of `key` names a group, which is typed alone; else empty.

    A group inside another one is typed with a slash, as method/task_inference.
    """
    last = key.rpartition(".")[2]
    name = value if isinstance(value, str) and value.isidentifier() else "NAME"
    found = [one for one in groups if (one == last and "." in key) or one in (f"method/{key}", key.replace(".", "/"))]
    return f"; give {found[0]}={name}" if found else ""


def offered(name: str, names: Sequence[str]) -> str:
    """Returns an ending for "no such choice": the most similar name, if any, and all names, or the nearest of many."""
    similar = f"did you mean {found}? " if (found := _similar(name, names)) else ""
    some = difflib.get_close_matches(name, names, n=MANY_CHOICES, cutoff=0) if len(names) > MANY_CHOICES else names
    more = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
    return f"; {similar}there are {', '.join(sorted(some)) or 'none'}{more}"


def _similar(name: str, names: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.5)), None)
