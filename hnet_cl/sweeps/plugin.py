"""Registers plugins with Hydra, which accepts only names below `hydra_plugins`."""

from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin

PREFIX = "hydra_plugins.hnet_cl."


def register(*plugins: type[Plugin]) -> None:
    """Makes `_target_: hydra_plugins.hnet_cl.<class>` in yaml refer to each of these classes.

    A class keeps its real module, so that other processes can unpickle it.
    """
    for plugin in plugins:
        Plugins.instance().class_name_to_class[PREFIX + plugin.__name__] = plugin
