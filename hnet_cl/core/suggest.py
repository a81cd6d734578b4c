"""The nearest real name to a mistyped one."""

import difflib
from collections.abc import Iterable, Sequence

MANY = 20  # names that are too many for one line


def nearest(name: str, names: Sequence[str]) -> str:
    """Ends «no such ...»: with the most similar real name, or all of them if they are few."""
    if similar := _similar(name, names):
        return f"; did you mean {similar}?"
    listed = [other for other in names if "." not in other] if len(names) > MANY else names
    return f"; there are {', '.join(sorted(listed))}" if listed else ""


def nearest_key(key: str, keys: Sequence[str]) -> str:
    """Ends «no such key»: of dotted keys, first those beside it count, and of these what is not shared."""
    parent, dot, leaf = key.rpartition(".")
    keys = [name for name in keys if name != key and (not name.endswith("._target_") or leaf.startswith("_"))]
    beside = [name.rpartition(".")[2] for name in keys if name.rpartition(".")[0] == parent]
    if similar := _similar(leaf, beside):
        return f"; did you mean {parent}{dot}{similar}?"
    if beside and dot:
        return f"; there are {', '.join(parent + dot + name for name in sorted(beside))}"
    return nearest(key, keys)


def elsewhere(key: str, value: object, groups: Iterable[str]) -> str:
    """An ending for «no such key» where its last part is the name of a group, which is typed by itself; else empty."""
    group = key.rpartition(".")[2]
    name = value if isinstance(value, str) and value.isidentifier() else "NAME"
    return f"; give {group}={name}" if "." in key and group in groups else ""


def offered(name: str, names: Sequence[str]) -> str:
    """Ends «no such choice»: with the most similar one, if there is one, and all of them, or some of many."""
    similar = f"did you mean {found}? " if (found := _similar(name, names)) else ""
    some = difflib.get_close_matches(name, names, n=MANY, cutoff=0) if len(names) > MANY else names
    more = f" and {len(names) - len(some)} more" if len(names) > len(some) else ""
    return f"; {similar}there are {', '.join(sorted(some)) or 'none'}{more}"


def _similar(name: str, names: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.5)), None)
