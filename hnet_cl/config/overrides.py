"""Checks KEY=VALUE overrides before Hydra composes them (syntax, existing choices) and makes them fit for a sweep."""

from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from hnet_cl.config.conf_files import choices, conf_dir, own_folders
from hnet_cl.config.help_text import HYDRAS
from hnet_cl.config.typed_parts import LISTED, as_choice, choices_of, moved, with_target
from hnet_cl.core.atomic_files import at_home
from hnet_cl.core.errors import UserError
from hnet_cl.core.older import MOVED_KEYS
from hnet_cl.core.plain_text import shown
from hnet_cl.core.suggest import offered

SEVERAL = ("logger",)  # groups that allow several choices, or none
DISPENSABLE = ("preset", "recipe", "dataset", "experiment")  # groups that can be left out of a configuration
PATHS = ("output_dir", "data_dir", "hydra.run.dir", "hydra.sweep.dir", "training.initial_weights")


def prepared(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments as Hydra gets them.

    A leading ~ of a path is expanded to the user's home. In a sweep over a group, a key below a group becomes a sweep
    over its one value: so it is set only in the jobs, since the configuration of the sweep itself may have another
    choice, without this key. A list of data sets becomes a choice for each. Keys that have moved get their present
    names, unless a custom benchmark is chosen, which may have keys of these names. `network=my.Net` becomes two
    arguments.

    Raises:
        UserError: arguments cannot be read or choose what does not exist; the message has one line for each.
    """
    groups = Groups(arguments)
    arguments = [one for argument in with_target(arguments) for one in _spread(as_choice(_at_home(argument)))]
    if not groups.has_own("benchmark", arguments):
        arguments = [_of_today(argument) for argument in arguments]
    read: dict[int, Override] = {}
    lines: list[str] = []
    for number, argument in enumerate(arguments):
        if not argument.startswith("-"):
            try:
                read[number] = parse(argument)
                lines += [*groups.problems(read[number]), *moved(argument)]
            except UserError as error:
                lines.append(str(error))
    if lines:
        raise UserError("\n".join(dict.fromkeys(lines)))
    sweeping = any("multirun" in argument.lower() for argument in arguments) and any(map(groups.swept, read.values()))
    return [
        _prepared(read[number], argument, groups, sweeping) if number in read else argument
        for number, argument in enumerate(arguments)
    ]


def _spread(argument: str) -> list[str]:
    """Returns the choices that an argument for several data sets stands for; any other argument alone."""
    if not LISTED.fullmatch(argument) or (override := parse(argument)).is_sweep_override():
        return [argument]
    return choices_of(argument, override.value())


def parse(argument: str) -> Override:
    """Parses one override.

    Raises:
        UserError: it cannot be read.
    """
    key, equals, _ = argument.partition("=")
    if not key.strip("+~ ") or not (equals or argument.startswith("~")):
        raise UserError(f"{shown(argument) or repr(argument)}: cannot be read as KEY=VALUE")
    try:
        return OverridesParser.create().parse_override(argument)
    except (HydraException, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0].partition(" expecting ")[0]
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else reason
        advice = "; quote values that have signs of their own, as KEY=\\'VALUE\\'"
        raise UserError(f"{shown(argument)}: cannot be read as KEY=VALUE ({shown(reason)}){advice}") from error


class Groups:
    """The config groups of the shipped yaml files and of the folders that the arguments add."""

    def __init__(self, arguments: Sequence[str]) -> None:
        own = own_folders(arguments)
        for folder in own:
            if not folder.is_dir():
                raise UserError(f"--config-dir={shown(folder)}: no such folder")
        self._folders = [conf_dir(), *own]
        self._elsewhere = any("hydra.searchpath=" in argument for argument in arguments)

    def has(self, key: str) -> bool:
        """Tells whether the key is a config group."""
        return "/" in key or (bool(key) and "." not in key and self._has_files(key))

    def _has_files(self, group: str) -> bool:
        """Tells whether there is a folder of yaml files of this group."""
        return any((folder / group).is_dir() for folder in self._folders)

    def has_own(self, group: str, arguments: Sequence[str]) -> bool:
        """Tells whether one of the arguments chooses a file of the group that is not shipped."""
        chosen = [value for argument in arguments for key, _, value in [argument.partition("=")] if key == group]
        shipped = choices(conf_dir(), group)
        return any(name.strip() not in shipped for value in chosen for name in value.split(","))

    def swept(self, override: Override) -> bool:
        """Tells whether the override can make the jobs of a sweep differ in a choice."""
        group = self.has(override.key_or_group) and override.is_sweep_override()
        return group or override.key_or_group.startswith("hydra.sweeper.params")

    def problems(self, override: Override) -> Iterator[str]:
        """Yields a line for each choice in the override that does not exist, is no name, or cannot be left out."""
        group, typed = override.key_or_group, shown(override.input_line)
        yield from self._of_hydra(override, typed)
        if not self.has(group) or (override.package is not None and "/" in group):
            return
        key = override.package or group
        names = self._names(group)
        if override.is_delete():
            if group not in DISPENSABLE:
                other = f"choose another, as {key}=NAME{offered('', names)}"
                yield f"{typed}: cannot be left out; {f'give {key}=[]' if group in SEVERAL else other}"
            return
        value = override.value()
        if isinstance(value, ChoiceSweep):
            chosen = list(override.sweep_string_iterator())
        elif override.is_sweep_override():
            chosen = []
        elif group in SEVERAL and isinstance(value, list):
            chosen = [shown(name) for name in value]
        elif isinstance(value, dict | list) or value is None or str(value) == "":
            keys = f"; its keys are {key}.KEY=VALUE" if isinstance(value, dict) else ""
            form = f"names in brackets, or {key}=[]" if group in SEVERAL else "the name of one choice"
            yield f"{typed}: give {form}{offered('', names)}{keys}"
            return
        else:
            chosen = [shown(value)]
        for name in chosen:
            if not self._may_exist(group, name, names):
                yield f"{key}={shown(name)}: no such choice{offered(name, names)}"

    def _names(self, group: str) -> list[str]:
        shipped = {name for folder in self._folders for name in choices(folder, group)}
        return sorted(shipped.union(HYDRAS.get(group, ())))

    def _of_hydra(self, override: Override, typed: str) -> Iterator[str]:
        """Yields a line for a part of Hydra, as its launcher, that is typed as a value instead of a choice."""
        group = override.key_or_group.replace(".", "/")
        part = override.key_or_group.startswith("hydra.") and self._has_files(group)
        if part and not override.is_delete() and not isinstance(override.value(), dict):
            yield f"{typed}: is chosen by its file, with a slash, as {group}=NAME{offered('', self._names(group))}"

    def _may_exist(self, group: str, name: str, names: Sequence[str]) -> bool:
        """Tells whether Hydra may find the choice; its own groups and other search paths are known to Hydra alone."""
        return name in names or self._elsewhere or group.startswith("hydra/") or not names


def _at_home(argument: str) -> str:
    key, _, value = argument.partition("=")
    path = value.strip("'\" ")
    if key.lstrip("+") not in PATHS or not path.startswith("~"):
        return argument
    return f"{key}={QuotedString(at_home(path), Quote.single).with_quotes()}"


def _of_today(argument: str) -> str:
    key, equals, value = argument.partition("=")
    name = key.lstrip("+")
    return f"{key[: len(key) - len(name)]}{MOVED_KEYS.get(name, name)}{equals}{value}"


def _prepared(override: Override, argument: str, groups: Groups, sweeping: bool) -> str:
    key, _, value = argument.partition("=")
    root, dot, _ = override.key_or_group.partition(".")
    fixed = not (override.is_sweep_override() or override.is_delete() or override.is_hydra_override())
    return f"{key}=choice({value or repr(value)})" if sweeping and fixed and dot and groups.has(root) else argument
