"""F-CelebA: which faces a task has, from lists or drawn, and what a damaged file leads to."""

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_images import TEST_LIST, TRAIN_LIST, face, name_of, smiles, write_celeba, write_lists

from hnet_cl.benchmarks.base import independent_examples
from hnet_cl.benchmarks.f_celeba import FCelebA
from hnet_cl.core.errors import UserError
from hnet_cl.datasets import celeba
from hnet_cl.datasets.celeba import MEAN, STD, CelebA

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "name": "f_celeba",
    "num_tasks": 3,
    "partition": "lists",
    "train_list": TRAIN_LIST,
    "test_list": TEST_LIST,
    "train_per_task": 6,
    "test_per_task": 2,
    "validation_per_task": 2,
    "seed": 42,
}
USERS = ["10", "2", "1", "0"]
PERSONS = [7, 8, 9, 10, 11]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """40 faces of five persons in turn, and lists of four users with 7 + 3 of them each."""
    write_lists(write_celeba(tmp_path, 40, PERSONS), USERS, 7, 3)
    return tmp_path


def faces(data_dir: Path, size: int = 8) -> CelebA:
    return CelebA(CelebA.Settings(name="celeba", size=size, augment="none"), data_dir)


def make(data_dir: Path, size: int = 8, **changes: Any) -> FCelebA:
    return FCelebA(FCelebA.Settings(**(SETTINGS | changes)), faces(data_dir, size), CPU)


def colours() -> dict[tuple[int, ...], int]:
    """The number of each face by its colour, as it is decoded."""
    decoded = (Image.open(io.BytesIO(face(number))).convert("RGB").getpixel((0, 0)) for number in range(1, 41))
    return {tuple(colour): number for number, colour in enumerate(decoded, start=1)}  # type: ignore[arg-type]


def numbers(benchmark: FCelebA) -> list[dict[str, list[int]]]:
    """Which faces each task has, after a look at every label and every pixel."""
    known = colours()
    tasks = []
    for task in benchmark.tasks:
        found = {}
        assert task.validation is not None
        for half, split in (("train", task.train), ("validation", task.validation), ("test", task.test)):
            inputs, labels = split.batch(slice(None))
            assert inputs.shape[1:] == (3, 8, 8) and torch.allclose(inputs, inputs[:, :, :1, :1])
            pixels = inputs[:, :, 0, 0] * torch.tensor(STD) + torch.tensor(MEAN)
            found[half] = [known[tuple(colour)] for colour in pixels.mul(255).round().int().tolist()]
            assert labels.tolist() == [smiles(number) for number in found[half]]
        tasks.append(found)
    return tasks


def test_users_of_the_lists_in_the_order_of_their_names(data_dir: Path) -> None:
    benchmark = make(data_dir)
    assert [task.name for task in benchmark.tasks] == ["user 0", "user 1", "user 10"]  # as text, and the first three
    for task, first in zip(numbers(benchmark), (31, 21, 1), strict=True):
        assert sorted(task["train"] + task["validation"]) == list(range(first, first + 7))
        assert len(task["validation"]) == 2
        assert task["test"] == [first + 7, first + 8, first + 9]
    assert benchmark.data.name == "f-celeba" and benchmark.class_counts == (2, 2, 2)
    assert independent_examples(benchmark.tasks) == pytest.approx([3, 6, 9])


def test_the_checksum_says_which_images_are_whose(data_dir: Path) -> None:
    before = make(data_dir).data
    assert make(data_dir).data == before
    lists = json.loads((data_dir / "celeba" / TRAIN_LIST).read_text())
    first, second = (lists["user_data"][user] for user in ("0", "1"))
    for key in ("x", "y"):
        first[key][0], second[key][0] = second[key][0], first[key][0]
    (data_dir / "celeba" / TRAIN_LIST).write_text(json.dumps(lists))
    assert make(data_dir).data.checksum != before.checksum


def test_which_images_are_for_validation_follows_the_seed(data_dir: Path) -> None:
    one, same, other = ([task["validation"] for task in numbers(make(data_dir, seed=seed))] for seed in (1, 1, 2))
    assert one == same != other
    assert make(data_dir, validation_per_task=0).tasks[0].validation is None
    with pytest.raises(UserError, match=r"validation_per_task=7: user 0 has 7 training images"):
        make(data_dir, validation_per_task=7)


@pytest.mark.parametrize("partition", ["iid", "identity"])
def test_drawn_tasks_share_no_image(partition: str, data_dir: Path) -> None:
    for name in (TRAIN_LIST, TEST_LIST):
        (data_dir / "celeba" / name).unlink()
    benchmark = make(data_dir, partition=partition)
    tasks = numbers(benchmark)
    own = [task["train"] + task["validation"] + task["test"] for task in tasks]
    assert [[len(task[half]) for half in task] for task in tasks] == [[4, 2, 2]] * 3
    assert len({number for task in own for number in task}) == 24
    assert numbers(make(data_dir, partition=partition)) == tasks
    assert numbers(make(data_dir, partition=partition, seed=1)) != tasks
    assert numbers(make(data_dir, partition=partition, num_tasks=2)) == tasks[:2]
    assert benchmark.data.name == f"celeba-{partition}"


def test_no_person_is_in_two_tasks_by_identity(data_dir: Path) -> None:
    persons: dict[str, list[set[int]]] = {}
    for partition in ("iid", "identity"):
        tasks = numbers(make(data_dir, partition=partition))
        faces = [task["train"] + task["validation"] + task["test"] for task in tasks]
        persons[partition] = [{PERSONS[number % len(PERSONS)] for number in own} for own in faces]
    assert [len(own) for own in persons["identity"]] == [1, 1, 1]  # eight faces of each: one is enough
    assert len(set.union(*persons["identity"])) == 3
    assert max(len(own) for own in persons["iid"]) > 1
    benchmark = make(data_dir, partition="identity", num_tasks=2, train_per_task=12)
    two = [task["train"] + task["validation"] + task["test"] for task in numbers(benchmark)]
    own = [{PERSONS[number % len(PERSONS)] for number in faces} for faces in two]
    assert [len(faces) for faces in own] == [2, 2] and not own[0] & own[1]


@pytest.mark.parametrize(("partition", "tasks"), [("iid", 5), ("identity", 5)])
def test_too_few_images_for_so_many_tasks(partition: str, tasks: int, data_dir: Path) -> None:
    with pytest.raises(
        UserError, match=rf"^benchmark\.num_tasks=6: CelebA in .* has images for {tasks} tasks of 6 \+ 2"
    ):
        make(data_dir, partition=partition, num_tasks=6)


def test_a_second_run_decodes_nothing_until_an_image_changes(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode = celeba._decode

    def counted(path: Path, raw: bytes, size: int) -> torch.Tensor:
        decoded.append(path.name)
        return decode(path, raw, size)

    monkeypatch.setattr(celeba, "_decode", counted)
    first = make(data_dir)
    assert len(decoded) == 30
    assert make(data_dir).data == first.data and len(decoded) == 30
    (data_dir / "celeba" / "img_align_celeba" / name_of(1)).write_bytes(face(2))
    assert make(data_dir).data != first.data and len(decoded) == 60
    make(data_dir, size=9)
    assert len(decoded) == 90


def damage_json(change: Any) -> Any:
    def damage(folder: Path) -> None:
        content = json.loads((folder / TRAIN_LIST).read_text())
        change(content)
        (folder / TRAIN_LIST).write_text(json.dumps(content))

    return damage


def cut(name: str, share: float = 0.5) -> Any:
    def damage(folder: Path) -> None:
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[: int(share * len(raw))])

    return damage


def in_place_of(path: Path) -> None:
    """Puts a pipe there, in which nobody writes."""
    path.unlink()
    os.mkfifo(path)


def edit(name: str, old: str, new: str) -> Any:
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


LISTS = [
    (lambda folder: (folder / TRAIN_LIST).unlink(), r"train\.json cannot be read \(No such file.*partition=iid"),
    (cut(TRAIN_LIST), r"train\.json is no list in LEAF's format \(JSONDecodeError"),
    (damage_json(lambda c: c.pop("users")), r"train\.json is no list in LEAF's format \(KeyError: 'users'"),
    (damage_json(lambda c: c["user_data"].pop("0")), r"train\.json is no list .*KeyError: '0'"),
    (damage_json(lambda c: c["user_data"]["0"]["y"].pop()), r"train\.json is no list"),
    (damage_json(lambda c: c["user_data"]["0"]["y"].__setitem__(0, 2)), r"labelled 2 is no file name with 0 or 1"),
    (damage_json(lambda c: c["user_data"]["0"]["x"].__setitem__(0, "../a.jpg")), r"'\.\./a\.jpg' labelled"),
    (damage_json(lambda c: c["user_data"]["0"]["x"].__setitem__(0, "..")), r"'\.\.' labelled"),
    (damage_json(lambda c: c["user_data"]["0"]["x"].__setitem__(0, "a\0.jpg")), r"'a\\x00\.jpg' labelled"),
    (damage_json(lambda c: c.update(users=["0", "1", "2", "\x1b[2J"])), "a user twice, or with a name that cannot be"),
    (
        lambda folder: (folder / TRAIN_LIST).write_text("[" * 100_000),
        r"train\.json is no list .*Recurs",
    ),
    (lambda folder: in_place_of(folder / TRAIN_LIST), r"train\.json cannot be read \(is no regular file\)"),
    (lambda folder: in_place_of(folder / "img_align_celeba" / name_of(5)), r"000005\.jpg cannot be read \(is no reg"),
    (damage_json(lambda c: c["user_data"]["0"].update(x=[], y=[])), "a user without images"),
    (damage_json(lambda c: c["user_data"]["0"]["x"].__setitem__(0, name_of(38))), r"000038\.jpg is in train\.json too"),
    (damage_json(lambda c: c.update(users=["0", "1"])), r"^benchmark\.num_tasks=3: .* have only 2 users"),
    (lambda folder: (folder / "img_align_celeba" / name_of(5)).unlink(), r"000005\.jpg cannot be read \(No such file"),
    (cut(f"img_align_celeba/{name_of(5)}"), r"000005\.jpg is damaged or cut short \(.*truncated"),
    (cut(f"img_align_celeba/{name_of(5)}", 0), r"000005\.jpg is damaged or cut short \(it is no image\)"),
]
TABLES = [
    (
        "iid",
        lambda folder: (folder / "list_attr_celeba.txt").unlink(),
        r"list_attr_celeba\.txt cannot be read.*data_dir",
    ),
    ("iid", cut("list_attr_celeba.txt"), r"list_attr_celeba\.txt is damaged or cut short \(\d+ rows, announced: 40\)"),
    ("iid", cut("list_attr_celeba.txt", 0), r"list_attr_celeba\.txt is damaged or cut short: it has 0 lines"),
    ("iid", edit("list_attr_celeba.txt", name_of(7), "/dev/zero"), r"damaged: '/dev/zero' is no file name"),
    ("iid", edit("list_attr_celeba.txt", name_of(7), "../x.jpg"), r"damaged: '\.\./x\.jpg' is no file name"),
    ("iid", lambda folder: in_place_of(folder / "list_attr_celeba.txt"), r"cannot be read .*is no regular file"),
    ("identity", lambda folder: (folder / "identity_CelebA.txt").unlink(), r"identity_CelebA\.txt cannot be read"),
    ("identity", cut("identity_CelebA.txt"), r"identity_CelebA\.txt (does not name the person of|is damaged)"),
]


@pytest.mark.parametrize(("damage", "line"), LISTS)
def test_damaged_lists_and_images_are_named(damage: Any, line: str, data_dir: Path) -> None:
    damage(data_dir / "celeba")
    with pytest.raises(UserError, match=line) as error:
        make(data_dir)
    assert "\n" not in str(error.value)
    assert not (data_dir / "hnet_cl_cache").exists(), "nothing half-made stays"


@pytest.mark.parametrize(("partition", "damage", "line"), TABLES)
def test_damaged_tables_are_named(partition: str, damage: Any, line: str, data_dir: Path) -> None:
    damage(data_dir / "celeba")
    with pytest.raises(UserError, match=line) as error:
        make(data_dir, partition=partition)
    assert "\n" not in str(error.value)


def test_images_are_made_smaller_as_a_whole(data_dir: Path) -> None:
    path = data_dir / "celeba" / "img_align_celeba" / name_of(1)
    picture = Image.linear_gradient("L").resize((178, 218)).convert("RGB")
    picture.save(path, "JPEG", quality=95)
    shutil.rmtree(data_dir / "hnet_cl_cache", ignore_errors=True)
    small = celeba.load_images(data_dir / "celeba", data_dir, [name_of(1)], 8)[0]
    rows = small[0].float().mean(1)
    assert small.shape == (3, 8, 8)
    assert rows.tolist() == pytest.approx([255 * (i + 0.5) / 8 for i in range(8)], abs=6), "top to bottom, nothing cut"


def test_the_published_tasks(full_celeba: Path) -> None:
    lists = {f"{half}_list": f"all_data_iid_01_05_keep_5_{half}_9.json" for half in ("train", "test")}
    benchmark = make(full_celeba, num_tasks=10, validation_per_task=9, size=32, **lists)
    assert [task.name for task in benchmark.tasks] == [f"user {u}" for u in (0, 1, *range(10, 18))]
    assert {(len(task.train), len(task.test)) for task in benchmark.tasks} == {(87, 11)}
    assert sum(int(task.test.labels.sum()) for task in benchmark.tasks) == 43
    majority = sum(task.majority for task in benchmark.tasks) / 10
    assert majority == pytest.approx(0.618, abs=5e-4)
    assert independent_examples(benchmark.tasks)[-1] == pytest.approx(110)


def test_faces_become_the_inputs_of_the_task(data_dir: Path) -> None:
    task = make(data_dir).tasks[1]
    (kind,) = FCelebA.image_kinds(FCelebA.Settings(**SETTINGS), faces(data_dir), None)
    assert (kind.channels, kind.height, kind.width, kind.of_task) == (3, 8, 8, False)
    assert task.test.rows is not None
    assert torch.equal(kind.encode(task.test.images[task.test.rows]), task.test.batch(slice(None))[0])
    assert task.classes == ["not smiling", "smiling"]
    assert task.picture is not None
    shown = task.picture(task.test.batch(slice(None))[0]) * 255
    assert torch.allclose(shown, task.test.images[task.test.rows].float(), atol=1e-3)
