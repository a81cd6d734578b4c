"""Parts that yaml chooses by `_target_`: a subclass of a known base with its checked settings, at any depth."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, create_model, model_validator
from pydantic_core import CoreSchema, core_schema

from hnet_cl.core.config_hash import is_below
from hnet_cl.core.importing import import_named
from hnet_cl.core.settings import Settings

TARGET = "_target_"
KNOWN = ("hnet_cl", "torch.optim")  # packages that may always be imported
YAML_TYPES = (bool, int, float, str, list, dict, type(None))
Base = TypeVar("Base")


class Chosen(Generic[Base]):
    """A subclass of `Base` with its checked settings: the type of a `Settings` field that accepts any subclass.

    In a configuration it is a mapping whose `_target_` is the dotted path of the class. The other keys are the settings
    of that class (its `Settings`) or, if it has none, arguments of its constructor, except the first one and those that
    the constructor of `Base` takes.
    """

    def __init__(self, kind: type[Base], settings: BaseModel) -> None:
        self.kind = kind
        self.settings: Any = settings  # of a class that only the configuration knows

    def make(self, *given: Any) -> Base:
        """Builds the part from the run's arguments: `kind(settings, *given)`, or `kind(*given, **settings)`.

        The former if the class has `Settings`.
        """
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
        """Builds the choice from a configuration; raises ValueError, to which pydantic adds the place of the error."""
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
    """Returns the settings of a class: its own `Settings`, or a model built from its constructor's arguments.

    The first argument and those of the constructor of `base` are left out, because the run supplies them.
    """
    own: type[BaseModel] | None = getattr(kind, "Settings", None)
    if own is not None:
        return own
    return arguments_of(kind, (*list(parameters_of(kind))[:1], *parameters_of(base)))


def subclass(path: str, key: str, base: type) -> Any:
    """Imports the class at a dotted path, which must be a subclass of a known base: yaml can reach nothing else.

    Args:
        path: dotted path of the class.
        key: the key where the user wrote it, for messages.
        base: the known base.

    Raises:
        UserError: it cannot be imported.
        ValueError: it is not a subclass of `base`, or is abstract.
    """
    found = import_named(path, key)
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ValueError(f"{key}={path}: is no subclass of {base.__module__}.{base.__name__}")
    if inspect.isabstract(found):
        raise ValueError(f"{key}={path}: is abstract; name a subclass that is not")
    return found


def targets(config: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the dotted key and the value of every `_target_` in a configuration, at any depth."""
    entries = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    for name, value in entries:
        path = f"{key}.{name}" if key else str(name)
        if name == TARGET:
            yield path, value
        else:
            yield from targets(value, path)


def strange(paths: Mapping[str, str], trusted: Iterable[str] = ()) -> dict[str, str]:
    """Returns those of the class paths, by dotted key, that are neither `KNOWN` nor in `trusted` packages."""
    known = (*KNOWN, *trusted)
    return {key: path for key, path in paths.items() if not is_below(path, known)}


def packages(paths: Iterable[str]) -> str:
    """Returns the packages of class paths, with commas between, as `trust` takes them."""
    return ",".join(dict.fromkeys(path.partition(".")[0] for path in paths))


class _Arguments(Settings):
    """Base of settings built from a constructor: annotations of any type are allowed, and lists become tuples.

    Yaml has no tuples, so a list is converted where the annotation asks for a tuple.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, values: Any) -> Any:
        tuples = {name for name, field in cls.model_fields.items() if get_origin(field.annotation) is tuple}
        return {name: tuple(v) if name in tuples and isinstance(v, list) else v for name, v in values.items()}


def arguments_of(kind: Callable[..., Any], given: tuple[str, ...]) -> type[BaseModel]:
    """Builds a settings model from the arguments of a constructor or function, except those `given` by the run."""
    fields: dict[str, Any] = {}
    for name, parameter in parameters_of(kind).items():
        if name in given or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        unknown = parameter.annotation is parameter.empty or isinstance(parameter.annotation, str)
        annotation = Any if unknown else _of_yaml(parameter.annotation)
        fields[name] = (annotation, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(kind.__name__, __base__=_Arguments, **fields)


def _of_yaml(annotation: Any) -> Any:
    """Returns a type without its alternatives that yaml cannot express, e.g. float for float | Tensor."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    given = tuple(kind for kind in kinds if not isinstance(kind, type) or kind in YAML_TYPES)
    return Union[given] if given else annotation  # noqa: UP007  # the alternatives are in a tuple


def parameters_of(kind: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of the class's constructor, with evaluated annotations if possible.

    If one annotation cannot be evaluated (its name is imported only for type checkers), all of them stay as written.
    """
    try:
        return inspect.signature(kind, eval_str=True).parameters
    except NameError:
        return inspect.signature(kind).parameters


def with_target(settings: type[BaseModel], **more: Any) -> Any:
    """Returns the settings extended by `_target_` and by `more` fields, for a node whose class is already known."""
    return model_of(settings.__name__, settings, target_=(str, Field(alias=TARGET)), **more)


def model_of(name: str, base: type[BaseModel], **fields: Any) -> Any:
    """Builds a pydantic model; a field is its type, or its type and its default.

    pydantic itself takes a type alone only since version 2.10.
    """
    pairs: dict[str, Any] = {key: field if isinstance(field, tuple) else (field, ...) for key, field in fields.items()}
    return create_model(name, __base__=base, **pairs)
