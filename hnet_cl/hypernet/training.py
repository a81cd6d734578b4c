"""Training of a hypernetwork on a sequence of tasks, with the output regulariser protecting the old ones."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from hnet_cl.hypernet.gram import GramRegularizer
from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.lookahead import Lookahead
from hnet_cl.hypernet.regularizer import OutputRegularizer


class RegularizedTraining:
    """Training on one task: optimisers of theta and of the new embedding, and the regulariser of the old tasks.

    A step minimises loss + strength * R(theta + dTheta), where dTheta is the step that the optimiser would make for the
    loss alone, taken as a constant (von Oswald et al., ICLR 2020, Eq. 2). Old task embeddings are not trained, unless
    the hypernetwork is `plastic`: then the regulariser trains them, with theta's optimiser. It does not depend on the
    new one. The only state is that of the `optimizers` and of the regulariser's `generator`; everything else follows
    from the hypernetwork at the time of construction.

    With `update="separate"` the optimiser of theta makes two steps: one for the loss alone, and from there one for
    strength * R(theta) alone. So the paper is read by a port to TensorFlow
    (github.com/sjmikler/continual-learning-with-hypernets at 7143c16).

    Args:
        hypernetwork: the hypernetwork to train.
        task: the new task; all before it are old.
        optimizer: builds an optimiser of given parameters, such as `lambda parameters: Adam(parameters, lr=1e-3)`.
        strength: weight of R (beta in the paper); 0 for no regulariser.
        lookahead: whether R is evaluated at theta + dTheta or, if false, at theta.
        regularizer: builds the regulariser from the hypernetwork and the old tasks.
        update: whether loss and regulariser share a step (`joint`) or have one each (`separate`).

    Raises:
        ValueError: `update` is `separate` with a lookahead, which would have no step to look ahead to.

    Attributes:
        optimizers: the optimiser of theta and that of the new task's embedding.
        regularizer: the regulariser of the old tasks; None if there are none or `strength` is 0.
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
        update: Literal["joint", "separate"] = "joint",
    ) -> None:
        if update == "separate" and lookahead:
            raise ValueError("update=separate with lookahead=True: R has a step of its own; give lookahead=False")
        self.strength = strength
        self._separate = update == "separate"
        self._theta = hypernetwork.held(task)
        self.optimizers = [optimizer(self._theta.values()), optimizer(hypernetwork.own(task))]
        self.regularizer = regularizer(hypernetwork, range(task)) if task > 0 and strength > 0 else None
        self._lookahead = None
        if self.regularizer and lookahead:
            drifts = {self._theta[name]: drift for name, drift in self.regularizer.drifts.items()}
            self._lookahead = Lookahead(self.optimizers[0], drifts)

    @property
    def capturable(self) -> bool:
        """Tells whether every step runs the same operations, all on the device, so that a CUDA graph can hold it."""
        return self.regularizer is None or self.regularizer.capturable

    def __call__(self, loss: Tensor) -> dict[str, Tensor]:
        """Makes a step for the task's loss, a differentiable scalar; returns what `step` returns."""
        self.zero_grad()
        loss.backward()
        return self.step()

    def zero_grad(self) -> None:
        """Clears the gradients of the last step."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self) -> dict[str, Tensor]:
        """Adds the regulariser's gradients to those of the task's loss, which must be there already, and makes a step.

        With `update="separate"` it makes one with the latter, and then one with the former.

        Returns:
            {"regularizer": R}, a detached scalar; {} if there is no regulariser.
        """
        if self._separate:
            self._make_steps()
            self.optimizers[0].zero_grad()
        losses = {} if self.regularizer is None else {"regularizer": self._regularize(self.regularizer)}
        if not self._separate:
            self._make_steps()
        elif losses:
            self.optimizers[0].step()
        return losses

    def _make_steps(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()

    def _regularize(self, regularizer: OutputRegularizer) -> Tensor:
        """Adds strength * dR/dtheta, taken at theta + dTheta with lookahead, to the gradients; returns R there."""
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
