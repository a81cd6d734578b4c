"""Parts that a yaml chooses by the path of their class."""

from abc import ABC, abstractmethod
from typing import Annotated, Any

import pytest
import torch
from pydantic import Field, PositiveFloat, ValidationError

from hnet_cl.core.chosen import Chosen, settings_of, targets
from hnet_cl.core.settings import Settings


class Shape(ABC):
    def __init__(self, settings: Any, unit: float) -> None:
        self.settings, self.unit = settings, unit

    @abstractmethod
    def area(self) -> float: ...


class Square(Shape):
    class Settings(Settings):
        side: PositiveFloat

    def area(self) -> float:
        return (self.settings.side * self.unit) ** 2


class Drawing(Settings):
    shape: Chosen[Shape]
    optimizer: Chosen[torch.optim.Optimizer] | None
    copies: Annotated[int, Field(gt=0)]


class Album(Settings):
    pages: dict[str, Drawing]


SQUARE = {"_target_": f"{__name__}.Square", "side": 3.0}
SGD = {"_target_": "torch.optim.SGD", "momentum": 0.9}
ADAM = {"_target_": "torch.optim.Adam", "betas": [0.5, 0.9]}


def drawing(**changes: Any) -> Drawing:
    return Drawing.model_validate({"shape": SQUARE, "optimizer": None, "copies": 1, **changes})


def lines(values: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        Album.model_validate(values)
    return [(".".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]


def test_the_class_is_built_from_its_settings_and_what_is_given() -> None:
    assert drawing().shape.make(2.0).area() == 36


@pytest.mark.parametrize(("node", "expected"), [(SGD, {"momentum": 0.9}), (ADAM, {"betas": (0.5, 0.9)})])
def test_a_class_without_settings_takes_arguments_of_its_constructor(node: Any, expected: dict[str, Any]) -> None:
    chosen = drawing(optimizer=node).optimizer
    assert chosen is not None
    optimizer = chosen.make([torch.nn.Parameter(torch.ones(2))])
    assert type(optimizer).__name__ == node["_target_"].rpartition(".")[2]
    assert expected.items() <= optimizer.defaults.items()
    assert "params" not in settings_of(torch.optim.SGD).model_fields


class Given:
    def __init__(self, unit: float, number: int) -> None: ...


class Own(Given):
    def __init__(self, *given: Any, height: float, number: int = 1) -> None: ...


def test_what_the_base_is_given_is_no_setting() -> None:
    assert set(settings_of(Own, Given).model_fields) == {"height"}
    assert set(settings_of(Own).model_fields) == {"height", "number"}


def test_mistakes_inside_of_a_part_are_found_at_their_place() -> None:
    wrong = {"shape": {**SQUARE, "side": -1.0, "colour": 1}, "optimizer": None, "copies": 0}
    assert {place for place, _ in lines({"pages": {"a": wrong}})} == {
        "pages.a.shape.side",
        "pages.a.shape.colour",
        "pages.a.copies",
    }


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"_target_": "torch.optim.SGD"}, "_target_=torch.optim.SGD: is no subclass of test_chosen.Shape"),
        ({"_target_": f"{__name__}.Shape"}, "is abstract"),
        ("square", "choose a Shape by its file"),
        ({"side": 1.0}, "choose a Shape by its file"),
    ],
)
def test_only_a_subclass_can_be_chosen(node: Any, said: str) -> None:
    ((place, message),) = lines({"pages": {"a": {"shape": node, "optimizer": None, "copies": 1}}})
    assert place == "pages.a.shape" and said in message


def test_its_keys_are_those_that_the_user_types() -> None:
    settings = drawing()
    settings.place("drawing")
    assert settings.shape.settings.key("side") == "drawing.shape.side"  # type: ignore[attr-defined]
    assert settings.model_dump() == {"shape": {"side": 3.0}, "optimizer": None, "copies": 1}


def test_every_class_that_is_named_is_found() -> None:
    assert dict(targets({"a": {"_target_": 1, "b": [{"_target_": "x.Y"}]}, "c": 3})) == {
        "a._target_": 1,
        "a.b.0._target_": "x.Y",
    }
