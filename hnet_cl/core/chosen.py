"""Parts that a yaml chooses by `_target_`: a class of a known base, and its checked settings, at any depth."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, create_model, model_validator
from pydantic_core import CoreSchema, core_schema

from hnet_cl.core.importing import import_named
from hnet_cl.core.settings import Settings

TARGET = "_target_"
YAML_TYPES = (bool, int, float, str, list, dict, type(None))
Base = TypeVar("Base")


class Chosen(Generic[Base]):
    """A class derived from `Base`, with its checked settings: the type of a field of `Settings` that is an open choice.

    In a configuration it is a mapping whose `_target_` is the dotted path of the class; the rest are the settings of
    that class (its `Settings`), or, if it has none, arguments of its constructor beyond the first and those of the
    constructor of `Base`.
    """

    def __init__(self, kind: type[Base], settings: BaseModel) -> None:
        self.kind = kind
        self.settings = settings

    def make(self, *given: Any) -> Base:
        """Builds the part from what a run gives: `kind(settings, *given)`, or `kind(*given, **settings)`."""
        build: Callable[..., Base] = self.kind
        if hasattr(self.kind, "Settings"):
            return build(self.settings, *given)
        return build(*given, **{name: getattr(self.settings, name) for name in self.settings.model_fields_set})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        (base,) = get_args(source)
        return core_schema.no_info_plain_validator_function(
            lambda value: cls._choose(base, value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda chosen: chosen.settings.model_dump()),
        )

    @classmethod
    def _choose(cls, base: type[Base], value: Any) -> "Chosen[Base]":
        """Raises ValueError, and so lets pydantic say where in the configuration it is."""
        if isinstance(value, Chosen):
            return value
        path = value.get(TARGET) if isinstance(value, Mapping) else None
        if not isinstance(path, str):
            raise ValueError(
                f"choose a {base.__name__} by its file, with / before the last name (as method/regularizer=fast), "
                f"or give a mapping with the dotted path of its class as {TARGET}"
            )
        kind = subclass(path, TARGET, base)
        given = {name: part for name, part in value.items() if name != TARGET}
        return cls(kind, settings_of(kind, base).model_validate(given))


def settings_of(kind: type, base: type = object) -> type[BaseModel]:
    """Returns the settings of a class: its own, or those made of its constructor's arguments.

    Left out are the first one and those that the constructor of its `base` takes, which a run gives.
    """
    own: type[BaseModel] | None = getattr(kind, "Settings", None)
    if own is not None:
        return own
    return arguments_of(kind, (*list(parameters_of(kind))[:1], *parameters_of(base)))


def subclass(path: str, key: str, base: type) -> Any:
    """Imports the class at a dotted path: nothing but a subclass of a known base can be reached from yaml.

    Raises:
        UserError: it cannot be imported.
        ValueError: it is something else, or abstract.
    """
    found = import_named(path, key)
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ValueError(f"{key}={path}: is no subclass of {base.__module__}.{base.__name__}")
    if inspect.isabstract(found):
        raise ValueError(f"{key}={path}: is abstract; name a subclass that is not")
    return found


def targets(config: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the dotted key of every `_target_` in a configuration, at any depth, and what it says."""
    entries = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    for name, value in entries:
        path = f"{key}.{name}" if key else str(name)
        if name == TARGET:
            yield path, value
        else:
            yield from targets(value, path)


class _Arguments(Settings):
    """A constructor may have annotations of any kind, and tuples, which yaml has not."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, values: Any) -> Any:
        tuples = {name for name, field in cls.model_fields.items() if get_origin(field.annotation) is tuple}
        return {name: tuple(v) if name in tuples and isinstance(v, list) else v for name, v in values.items()}


def arguments_of(kind: type, given: tuple[str, ...]) -> type[BaseModel]:
    """Returns settings made of the arguments of a constructor, less those that a run gives."""
    fields: dict[str, Any] = {}
    for name, parameter in parameters_of(kind).items():
        if name in given or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        unknown = parameter.annotation is parameter.empty or isinstance(parameter.annotation, str)
        annotation = Any if unknown else _of_yaml(parameter.annotation)
        fields[name] = (annotation, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(kind.__name__, __base__=_Arguments, **fields)


def _of_yaml(annotation: Any) -> Any:
    """Returns a type without those of its alternatives that no yaml can give, as float for float | Tensor."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    given = tuple(kind for kind in kinds if not isinstance(kind, type) or kind in YAML_TYPES)
    return Union[given] if given else annotation  # noqa: UP007  # of a tuple


def parameters_of(kind: type) -> Mapping[str, inspect.Parameter]:
    """Returns those of its constructor; if an annotation exists for type checkers alone, all of them remain strings."""
    try:
        return inspect.signature(kind, eval_str=True).parameters
    except NameError:
        return inspect.signature(kind).parameters


def with_target(settings: type[BaseModel], **more: Any) -> Any:
    """Returns settings that also admit `_target_`, for a node whose class has been found by it, and `more` fields."""
    return create_model(settings.__name__, __base__=settings, target_=(str, Field(alias=TARGET)), **more)
