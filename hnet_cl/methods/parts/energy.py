"""Task inference by the energy of the logits."""

from pydantic import PositiveFloat
from torch import Tensor

from hnet_cl.methods.parts.inference import DecisionSettings
from hnet_cl.methods.parts.standardized import StandardizedInference


class Energy(StandardizedInference):
    """Chooses the task whose network has the lowest energy, in standard deviations from its mean on training data.

    The energy of logits z is -T logsumexp(z / T) at temperature T (Liu et al., Energy-based out-of-distribution
    detection, NeurIPS 2020, Eq. 4; they detect outliers with one network and need no common scale).
    """

    class Settings(DecisionSettings):
        temperature: PositiveFloat

    def raw(self, logits: Tensor) -> Tensor:
        temperature: float = self.settings.temperature
        return -temperature * (logits / temperature).logsumexp(-1)
