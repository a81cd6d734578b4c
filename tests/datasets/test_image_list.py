"""Which image files there are, and of which classes: from folders and from csv files."""

from pathlib import Path

import pytest

from hnet_cl.core.errors import UserError
from hnet_cl.datasets.image_list import ImageFile, in_csv, in_folders


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    return root


def problem(root: Path) -> str:
    with pytest.raises(UserError) as said:
        in_folders(root)
    assert "\n" not in str(said.value)
    return str(said.value)


def test_a_folder_per_class(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.png", "b/10.JPG", "a/deep/x.webp", "a/note.txt", "a/.hidden.png", "over.png", "c/none.txt")
    found = in_folders(tmp_path)
    assert [(one.path, one.label, one.part) for one in found.images] == [
        ("a/deep/x.webp", "a", None),
        ("b/10.JPG", "b", None),
        ("b/2.png", "b", None),
    ]
    assert found.others == ["over.png", "a/note.txt", "c/"]


def test_train_and_test(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "test/a/1.png", "val/a/1.png", "list.txt")
    found = in_folders(tmp_path)
    assert found.images == [
        ImageFile("train/a/1.png", "a", "train"),
        ImageFile("train/b/1.png", "b", "train"),
        ImageFile("test/a/1.png", "a", "test"),
    ]
    assert found.others == ["val", "list.txt"]


def test_train_and_test_can_be_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "test/1.png", "bus/1.png")
    assert [one.label for one in in_folders(tmp_path).images] == ["bus", "test", "train"]


def test_one_half_alone(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "val/a/1.png")
    assert problem(tmp_path).endswith(
        "has a folder train with classes and no folder test but train/, val/; add it, or put all classes into one "
        "folder, of which a share is held out to test with"
    )


def test_no_images_no_folder(tmp_path: Path) -> None:
    assert "has no images in folders but nothing; expected a folder per class with images in it (.png," in problem(
        tmp_path
    )
    touch(tmp_path, "1.png", "2.png")
    assert "has no images in folders but 1.png, 2.png; expected" in problem(tmp_path)
    assert problem(tmp_path / "away").endswith(
        "away cannot be listed (No such file or directory): give a folder that can"
    )
    assert "1.png cannot be listed (Not a directory)" in problem(tmp_path / "1.png")


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.png", "root/a/1.png")
    (tmp_path / "root" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "a" / "2.png").symlink_to("1.png")
    (tmp_path / "root" / "a" / "3.png").symlink_to("gone")
    paths = [one.path for one in in_folders(tmp_path / "root").images]
    assert paths == ["a/1.png", "a/2.png", "a/3.png", "b/1.png"]
    (tmp_path / "root" / "a" / "up").symlink_to("..")
    assert "a/up/a: is a link to a folder that it is in, or too deep; remove it" in problem(tmp_path / "root")


def test_names_with_line_breaks(tmp_path: Path) -> None:
    touch(tmp_path, "a/1\n2.png")
    assert [one.path for one in in_folders(tmp_path).images] == ["a/1\n2.png"]
    touch(tmp_path, "b\nc/1.png")
    assert "the folder name 'b\\nc' cannot be shown in a line; rename it" in problem(tmp_path)


def table(root: Path, text: str) -> Path:
    (root / "list.csv").write_text(text)
    return root / "list.csv"


def test_a_csv(tmp_path: Path) -> None:
    text = '\ufeffpath,label,size,split,task\nz.png,dog,9,Train,2\n"a,\nb.png",cat,9,test,1\n'
    assert in_csv(table(tmp_path, text)).images == [
        ImageFile("a,\nb.png", "cat", "test", "1"),
        ImageFile("z.png", "dog", "train", "2"),
    ]
    assert in_csv(table(tmp_path, "label,path\ndog,z.png\n")).images == [ImageFile("z.png", "dog")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,class\na,b\n", "its first line has no label but path, class; it must name the columns path, label and"),
        ("", "its first line has no path and label but nothing; it must name the columns"),
        ("path,label\n", "names no images; expected a line for each"),
        ("path,label\na.png,\n", "list.csv, line 2: has no label; add it, or remove the line"),
        ("path,label\na.png\n", "list.csv, line 2: has no label"),
        ("path,label\n,b\n", "list.csv, line 2: has no path"),
        ("path,label,split\na.png,b,val\n", "line 2: split is val; expected train or test"),
        ("path,label,split\na.png,b,\n", "line 2: split is empty; expected train or test"),
        ("path,label\na.png,b\na.png,c\n", "names a.png twice; leave one of the two out"),
        ('path,label\na.png,"b\nc"\n', "the label 'b\\nc' cannot be shown in a line"),
        ('path,label\na.png,"b', "cannot be read as a csv file (unexpected end of data)"),
    ],
)
def test_a_csv_that_is_wrong(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        in_csv(table(tmp_path, text))
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_csv_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"list\.csv cannot be read \(No such file or directory\): give a csv file that may"
    ):
        in_csv(tmp_path / "list.csv")
    (tmp_path / "list.csv").write_bytes(b"path,label\n\xff,a\n")
    with pytest.raises(UserError, match=r"cannot be read as a csv file .*: give one in UTF-8"):
        in_csv(tmp_path / "list.csv")
