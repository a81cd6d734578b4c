"""Files that may be a stranger's: known at once for what they are, and never larger inside than outside."""

import os
from pathlib import Path

import pytest

from hnet_cl.core.regular_files import open_regular, parse_json, parse_yaml, read_regular, yaml_scalars

pytestmark = pytest.mark.usefixtures("no_waiting")


@pytest.mark.parametrize("kind", ["pipe", "zeros", "folder"])
def test_only_regular_files_are_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "zeros" else tmp_path)
    with pytest.raises(OSError, match="Is a directory" if kind == "folder" else "is no regular file") as caught:
        open_regular(path)
    assert caught.value.filename == str(path)


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", 5) == b"12345"


def test_no_more_is_read_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert read_regular(path, 0) == b""
    os.truncate(path, 1 << 40)  # takes no space on the disk
    with pytest.raises(OSError, match="has more than 1 MiB"):
        read_regular(path, 1 << 20)


LAUGHS = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LAUGHS, "refers to parts of itself"),
        ("a: &a {b: 1}\nc: {<<: *a}", "refers to parts of itself"),
        ("a: &a [*a]", "refers to parts of itself"),
        ("[" * 100_000, "is nested more than 32 deep"),
        ("- " * 100_000, "is nested more than 32 deep"),
        ("[" + "1, " * 30_000 + "]", "has more than 5000 values"),
        ("a: " + "1:" * 30_000 + "1", "has a value of more than 10000 characters"),
        ("a: !!python/object/apply:os.mkdir [made]", "could not determine a constructor"),
        ("a: [", "while parsing"),
        ('"a\\e[31m": 1', "cannot be shown"),
        (f"{'a' * 300}: 1", "is longer than 200 characters"),
    ],
)
def test_yaml_that_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        parse_yaml(text.encode())
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_yaml_that_is_read() -> None:
    text = b'a: {b: [1, 2.5, null], c: "\\x24{d}"}\n2: x'
    assert parse_yaml(text) == {"a": {"b": [1, 2.5, None], "c": "${d}"}, 2: "x"}
    assert yaml_scalars(text) == ["a", "b", "1", "2.5", "null", "c", "${d}", "2", "x"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[" * 1_000_000, "not JSON"),
        ('{"a": ' * 40 + "1" + "}" * 40, "is nested more than 32 deep"),
        ("[" * 40 + "]" * 40, "is nested more than 32 deep"),
        ("1" * 10_000, "not JSON"),
        ('"\\ud800"', "not JSON"),
        ('[{"' + "a" * 300 + '": 1}]', "is longer than 200 characters"),
        ('{"a\\n": 1}', "cannot be shown"),
    ],
)
def test_json_that_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(text.encode())


def test_json_that_is_read() -> None:
    assert parse_json(b'{"a": [[1, null], {"b": "\\u001b"}]}') == {"a": [[1, None], {"b": "\x1b"}]}
