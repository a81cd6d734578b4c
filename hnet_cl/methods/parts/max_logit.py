"""Task inference by the largest logit."""

from torch import Tensor

from hnet_cl.methods.parts.standardized import StandardizedInference


class MaxLogit(StandardizedInference):
    """Chooses the task whose network has the largest logit, in standard deviations from its mean on training data.

    The score is minus the largest logit, standardised (Hendrycks et al., Scaling out-of-distribution detection for
    real-world settings, ICML 2022; they detect outliers with one network and need no common scale).
    """

    def raw(self, logits: Tensor) -> Tensor:
        return -logits.amax(-1)
