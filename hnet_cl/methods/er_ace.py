"""Experience replay with an asymmetric cross-entropy: new examples do not push old classes down."""

import torch
from torch import Tensor

from hnet_cl.methods.parts.buffer_replay import BufferReplay
from hnet_cl.methods.parts.distillation import only


class ERACE(BufferReplay):
    """A classifier of new and stored examples (Caccia et al., ICLR 2022, ER-ACE).

    The loss is the mean cross-entropy of the new examples among the classes that are present in their batch, plus the
    mean cross-entropy of the replayed examples among all outputs of their task. In the first task, in which nothing is
    replayed, new examples count among all its outputs.

    New classes are told from old ones by replay alone, so the buffer holds examples of the newest task too, as one that
    is filled while the task is learned.

    Mammoth also leaves outputs from the largest class so far on in the new examples' softmax, and has a cosine head;
    here classes that have not been seen are in no softmax, and the network is the one that is chosen.
    """

    with_newest = True

    def loss(self, inputs: Tensor, labels: Tensor, tasks: Tensor | None = None) -> Tensor:
        if self.buffer is None or tasks is not None:
            return super().loss(inputs, labels, tasks)
        outputs = self.heads.label(labels, self.latest)
        return self.objective.loss(only(self.network(inputs), present(outputs, self.heads.num_outputs)), outputs)

    def protect(self, inputs: Tensor, labels: Tensor, gradients: list[Tensor]) -> dict[str, Tensor]:
        if not self.replayed:
            return {}
        loss = self.replay_loss(self.replayed[0])
        loss.backward()
        return {"replay": loss.detach()}


def present(outputs: Tensor, number: int) -> Tensor:
    """Marks (`number`,) the outputs that are the right ones (b,) of at least one example."""
    return torch.zeros(number, dtype=torch.bool, device=outputs.device).index_fill_(0, outputs, True)
