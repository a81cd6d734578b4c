"""The training of a hypernetwork on one task after another, each held where it was by the output regulariser."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from hnet_cl.hypernet.gram import GramRegularizer
from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.lookahead import Lookahead
from hnet_cl.hypernet.regularizer import OutputRegularizer


class RegularizedTraining:
    """The training of one task: optimisers of theta and of the new embedding, and the regulariser of the old tasks.

    A step minimises loss + strength * R(theta + dTheta), with dTheta the optimiser's own next step for the loss alone,
    a constant (paper, Eq. 2). Old embeddings are in no optimiser, and the regulariser does not touch the new one.
    Nothing here is state beside the `optimizers` and the regulariser's `generator`: the rest follows from the
    hypernetwork as it is at construction.

    Args:
        hypernetwork: what is trained.
        task: the new task; all before it are old.
        optimizer: builds an optimiser of given parameters, as `lambda parameters: Adam(parameters, lr=1e-3)`.
        strength: what R is weighed with (beta in the paper); 0 for no regulariser.
        lookahead: whether R is evaluated at theta + dTheta, or at theta.
        regularizer: builds the regulariser from the hypernetwork and the old tasks.

    Attributes:
        optimizers: of theta, and of the task's embedding.
        regularizer: that of the old tasks, or None where there are none.
    """

    def __init__(
        self,
        hypernetwork: Hypernetwork,
        task: int,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        strength: float,
        *,
        lookahead: bool = True,
        regularizer: Callable[[Hypernetwork, Sequence[int]], OutputRegularizer] = GramRegularizer,
    ) -> None:
        self.strength = strength
        self._theta = hypernetwork.theta
        self.optimizers = [optimizer(self._theta.values()), optimizer([hypernetwork.task_embeddings[task]])]
        self.regularizer = regularizer(hypernetwork, range(task)) if task > 0 and strength > 0 else None
        self._lookahead = None
        if self.regularizer and lookahead:
            drifts = {self._theta[name]: drift for name, drift in self.regularizer.drifts.items()}
            self._lookahead = Lookahead(self.optimizers[0], drifts)

    @property
    def capturable(self) -> bool:
        """Whether all steps do the same operations on the device alone, as a CUDA graph needs it."""
        return self.regularizer is None or self.regularizer.capturable

    def __call__(self, loss: Tensor) -> dict[str, Tensor]:
        """Makes a step for the task's loss, a scalar with a history; returns what `step` does."""
        self.zero_grad()
        loss.backward()
        return self.step()

    def zero_grad(self) -> None:
        """Forgets the gradients of the last step."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> dict[str, Tensor]:
        """Makes a step with the gradients of the task's loss, which are there already, and those of the regulariser.

        Returns:
            R as {"regularizer": scalar}, detached; {} where there is no regulariser.
        """
        losses = {} if self.regularizer is None else {"regularizer": self._regularize(self.regularizer)}
        for optimizer in self.optimizers:
            optimizer.step()
        return losses

    def _regularize(self, regularizer: OutputRegularizer) -> Tensor:
        """Adds strength * dR/dtheta, taken at the candidate step, to the gradients; returns R there."""
        theta: Theta = self._theta
        if self._lookahead:
            candidate, drifts = self._lookahead.candidate(), regularizer.drifts
            theta = {name: candidate.get(p, p) for name, p in self._theta.items() if name not in drifts}
        gradients = {}
        for name, parameter in self._theta.items():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients[name] = parameter.grad
        return regularizer.add_gradients(theta, gradients, self.strength)
