"""Task inference by how much samples of a network's weights agree."""

from typing import Any

from torch import Tensor

from hnet_cl.core.errors import UserError
from hnet_cl.methods.base import Context
from hnet_cl.methods.parts.inference import ScoredInference
from hnet_cl.methods.parts.sampled_networks import SampledNetworks
from hnet_cl.methods.parts.task_networks import Candidates, TaskNetworks


class Agreement(ScoredInference):
    """Chooses the task whose sampled networks agree most (Henning et al., NeurIPS 2021, with Bayes by backprop).

    The score is the standard deviation of a class's probability over the samples, the mean over the task's classes.

    Raises:
        UserError: the method has no distribution of weights, or answers by one sample.
    """

    networks: SampledNetworks

    def __init__(self, settings: Any, context: Context, networks: TaskNetworks) -> None:
        if not isinstance(networks, SampledNetworks):
            raise UserError(
                "method/task_inference=agreement: compares samples of each task's weights, and this method draws none; "
                "use method=hnet_posterior, or another rule, as method/task_inference=entropy"
            )
        if networks.samples < 2:
            raise UserError(
                f"method.test_samples={networks.samples}: method/task_inference=agreement compares samples; give at "
                "least 2"
            )
        super().__init__(settings, context, networks)

    def scores(self, candidates: Candidates) -> Tensor:
        return disagreement(self.networks.sampled_logits(candidates.inputs, candidates.tasks))


def disagreement(logits: Tensor) -> Tensor:
    """Computes the standard deviation over samples of each class's probability, the mean over classes (...).

    Args:
        logits: those of S > 1 samples (S, ..., C), with -inf for absent classes.
    """
    classes = (logits[0] > -float("inf")).sum(-1)
    return logits.softmax(-1).std(0).sum(-1) / classes
