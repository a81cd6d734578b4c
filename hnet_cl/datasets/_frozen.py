"""A frozen network whose features are computed: its weights, the layer that is looked at, and a batch at a time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from hnet_cl.core.chosen import subclass
from hnet_cl.core.errors import Interrupted, UserError, first_line
from hnet_cl.core.regular_files import open_regular
from hnet_cl.core.seeding import Stream, seeded
from hnet_cl.core.suggest import offered
from hnet_cl.core.tensor_files import load_plain
from hnet_cl.datasets._fetch import quiet_download
from hnet_cl.datasets._torchvision import import_torchvision

BATCH = 128  # images at a time


class Frozen:
    """A network in evaluation mode on a device, of which one layer is looked at.

    Args:
        network: the network.
        layer: name of the module whose output counts; None: what goes into the last linear layer or, if the network
            has none, its output.
        size: images are resized to `size` x `size` first, bilinearly; None: they stay as they are.
        device: where features are computed.

    Raises:
        ValueError: there is no module of that name.
    """

    def __init__(self, network: nn.Module, layer: str | None, size: int | None, device: torch.device) -> None:
        self._network = network.eval().requires_grad_(False).to(device)
        self._size, self._device = size, device
        self._seen: Any = None
        modules = dict(network.named_modules())
        if layer is not None:
            if not layer or layer not in modules:
                raise ValueError(offered(layer, [name for name in modules if name]).removeprefix("; "))
            self.looked_at = f"the output of {layer}"
            modules[layer].register_forward_hook(self._keep_output)
            return
        linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
        self.looked_at = f"the input of {linear[-1]}" if linear else "its output"
        if linear:
            modules[linear[-1]].register_forward_pre_hook(self._keep_input)
        else:
            network.register_forward_hook(self._keep_output)

    def _keep_output(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._seen = output

    def _keep_input(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._seen = inputs[0]

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Computes the features (b, d) of network inputs (b, ...), on the CPU, as float32.

        Raises:
            Exception: of any kind, raised by the network.
            TypeError: the layer gives anything but one tensor.
        """
        inputs = inputs.to(self._device)
        if self._size is not None:
            inputs = interpolate(inputs, (self._size, self._size), mode="bilinear", antialias=True)
        self._seen = None
        self._network(inputs)
        if not isinstance(self._seen, Tensor) or len(self._seen) != len(inputs):
            raise TypeError(f"{self.looked_at} is no tensor with a row for each input")
        return self._seen.flatten(1).float().cpu()


def made(name: str, weights: str | None, keys: tuple[str, str]) -> nn.Module:
    """Builds a network and loads its weights.

    Args:
        name: of a network of torchvision, or the dotted path of a class whose constructor needs no arguments.
        weights: a file of `torch.save` with its weights; a name of torchvision's own weights for it, as DEFAULT, which
            are downloaded; or None for the weights that the constructor makes.
        keys: the keys of `name` and `weights`, for messages.

    Raises:
        UserError: there is no such network, or its weights are missing, damaged or not of this network.
    """
    is_file = weights is not None and ("/" in weights or Path(weights).suffix != "")
    published = None if is_file else weights
    with seeded(0, Stream.FROZEN_NETWORK):
        network = _of_user(name, published, keys) if "." in name else _of_torchvision(name, published, keys)
    if is_file and weights is not None:
        _load(network, name, Path(weights).expanduser(), f"{keys[1]}={weights}")
    return network


def _of_user(path: str, published: str | None, keys: tuple[str, str]) -> nn.Module:
    if published is not None:
        raise UserError(
            f"{keys[1]}={published}: is a name of torchvision's weights, but {keys[0]}={path} is none of its networks; "
            "give a file, or null for the weights that the class makes itself"
        )
    try:
        network: nn.Module = subclass(path, keys[0], nn.Module)()
    except (UserError, KeyboardInterrupt, Interrupted):
        raise
    except ValueError as error:
        raise UserError(first_line(error)) from error
    except Exception as error:
        raise UserError(
            f"{keys[0]}={path}: cannot be built without arguments ({first_line(error)}); name a class that can"
        ) from error
    return network


def _of_torchvision(name: str, published: str | None, keys: tuple[str, str]) -> nn.Module:
    models = import_torchvision().models
    known = models.list_models(module=models)
    if name not in known:
        line = f"{keys[0]}={name}: torchvision has no such network{offered(name, known)}"
        raise UserError(f"{line}; or give the dotted path of a class of your own")
    if published is not None:
        names = list(models.get_model_weights(name).__members__)
        if published not in (*names, "DEFAULT"):
            raise UserError(
                f"{keys[1]}={published}: torchvision has no such weights of {name}{offered(published, names)}"
            )
    try:
        with quiet_download():
            network: nn.Module = models.get_model(name, weights=published)
    except Exception as error:  # a download can fail in many ways
        raise UserError(
            f"{keys[1]}={published}: cannot be downloaded ({first_line(error)}); give a file with weights of {name}, "
            "or null for random ones"
        ) from error
    return network


def _load(network: nn.Module, name: str, path: Path, typed: str) -> None:
    """Loads a file's weights: a state dict, or the only one in a dict.

    Raises:
        UserError: the file cannot be read, holds none or several, or one of another network.
    """
    try:
        with open_regular(path) as file:
            content = load_plain(file)
    except OSError as error:
        raise UserError(f"{typed}: cannot be read ({error.strerror}); give a file that torch.save made") from error
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{typed}: {first_line(error)}; give a file that torch.save made of a state_dict()") from error
    inner = content.values() if isinstance(content, Mapping) else ()
    found = [state for state in (content, *inner) if _is_state(state)]
    if len(found) != 1:
        raise UserError(f"{typed}: holds {len(found)} state dicts; give a file that torch.save made of a state_dict()")
    try:
        network.load_state_dict(found[0])
    except RuntimeError as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines()[1:])[:300]
        raise UserError(f"{typed}: are not the weights of {name} ({reason})") from error


def _is_state(content: Any) -> bool:
    return isinstance(content, Mapping) and bool(content) and all(isinstance(one, Tensor) for one in content.values())
