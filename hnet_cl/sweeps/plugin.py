"""Makes the sweepers known to Hydra, which accepts plugins by names below `hydra_plugins` alone."""

from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin

PREFIX = "hydra_plugins.hnet_cl."


def register(*plugins: type[Plugin]) -> None:
    """Makes `_target_: hydra_plugins.hnet_cl.<class>` in a yaml mean this class.

    The class keeps its own module, so that processes which unpickle it find it.
    """
    for plugin in plugins:
        Plugins.instance().class_name_to_class[PREFIX + plugin.__name__] = plugin
