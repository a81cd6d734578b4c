"""Checks that a network can be trained on parts of a batch, by several processes."""

import torch
from torch import Tensor, nn

from hnet_cl.core.checks import attempt
from hnet_cl.core.errors import UserError
from hnet_cl.core.seeding import global_states


@torch.no_grad()
def require_independent(network: nn.Module, name: str, inputs: Tensor) -> None:
    """Checks that what a network makes of an example depends on nothing but the example.

    The first of the `inputs` (b, *in_shape) is tried beside the others and beside copies of itself.

    Raises:
        UserError: outputs or buffers depend on the other examples of the batch, or random numbers are drawn, of which
            each process would draw its own.
    """
    for mode in ("training", "evaluation"):
        network.train(mode == "training")
        kept = {key: buffer.clone() for key, buffer in network.named_buffers()}
        seen = []
        for given in (inputs.clone(), inputs[:1].expand_as(inputs).clone()):
            before = global_states()
            outputs = attempt(name, f"forward in {mode} mode", network, given)
            if not all(map(torch.equal, before, global_states())):
                raise UserError(
                    f"{name}: draws random numbers in {mode}, as dropout does, of which each process would draw its "
                    "own; use a target network without, or leave out torchrun"
                )
            seen.append([outputs[0], *(buffer.clone() for _, buffer in network.named_buffers())])
            for key, buffer in network.named_buffers():
                if key in kept:
                    buffer.copy_(kept[key])
        if not all(torch.allclose(one, other, rtol=1e-3, atol=1e-5) for one, other in zip(*seen, strict=True)):
            raise UserError(
                f"{name}: what it makes of an example in {mode} depends on the others in the batch, as with batch "
                "normalisation, and each process sees a part of them; use a target network without, or leave out "
                "torchrun"
            )
