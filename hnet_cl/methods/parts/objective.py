"""Objectives: the meaning, the loss and the score of a network's outputs. A part of methods.

No other part of a method asks whether tasks are classified or regressed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from hnet_cl.core.scores import ACCURACY, MSE, NMSE, Score
from hnet_cl.scenario import HeadMap

FisherLabels = Literal["predicted", "true", "sampled", "expected"]


class Objective(ABC):
    """A loss, the labels that outputs predict, and the score that these are judged by.

    Outputs are (b, n). `start` is the first of the outputs that belong to an example's task: one for all, or one for
    each (b,).

    Attributes:
        score: the score.
    """

    def __init__(self, score: Score) -> None:
        self.score = score

    def loss(self, outputs: Tensor, labels: Tensor, start: int | Tensor = 0) -> Tensor:
        """Computes the mean over examples of `each`."""
        return self.each(outputs, labels, start).mean()

    @abstractmethod
    def each(self, outputs: Tensor, labels: Tensor, start: int | Tensor = 0) -> Tensor:
        """Computes the loss (b,) of each example; it is -log p(labels | outputs), up to a constant."""

    def num_outputs(self, count: int) -> int:
        """Returns the number of outputs of a task with `count` classes, or numbers to predict."""
        return count

    @abstractmethod
    def predicted(self, outputs: Tensor, start: int | Tensor = 0) -> Tensor:
        """Returns the answers that are read from the outputs of a task whose first output is `start`."""

    @abstractmethod
    def points(self, answers: Tensor, labels: Tensor, heads: HeadMap, task: int) -> Tensor:
        """Computes from answers to a batch of test examples what is summed over batches and given to `mean`."""

    @abstractmethod
    def mean(self, points: Tensor, labels: Tensor) -> float:
        """Computes the score on a task from the sum of `points` over its test examples, with these labels."""

    def within(self, labels: Tensor, start: int) -> Tensor:
        """Returns labels of a task whose first output is `start` as labels of a task with all outputs."""
        return labels

    @abstractmethod
    def some_labels(self, outputs: Tensor) -> Tensor:
        """Returns labels of the right form, to try out operations with."""

    @abstractmethod
    def answer_form(self, number: int, heads: HeadMap) -> tuple[torch.dtype, tuple[int, ...]]:
        """Returns type and shape of the answers to `number` inputs."""

    @abstractmethod
    def fisher_labels(
        self, outputs: Tensor, true: Tensor, which: FisherLabels, rng: torch.Generator
    ) -> list[tuple[Tensor, Tensor]]:
        """Returns labels and weights (b,) whose weighted squared gradients of `each` sum to the Fisher information.

        `which` says whose labels they are: the most probable (`predicted`), the data's (`true`), drawn from the
        network's distribution (`sampled`), or the mean over that distribution (`expected`: exact).
        """


class Classification(Objective):
    """Labels int64 (b,) are classes: cross-entropy, and the share of right answers. Answers are outputs, int64 (b,)."""

    def loss(self, outputs: Tensor, labels: Tensor, start: int | Tensor = 0) -> Tensor:
        return F.cross_entropy(outputs, labels + start)

    def each(self, outputs: Tensor, labels: Tensor, start: int | Tensor = 0) -> Tensor:
        return F.cross_entropy(outputs, labels + start, reduction="none")

    def predicted(self, outputs: Tensor, start: int | Tensor = 0) -> Tensor:
        return outputs.argmax(1) + start

    def points(self, answers: Tensor, labels: Tensor, heads: HeadMap, task: int) -> Tensor:
        return heads.correct(answers, labels, task).sum()

    def mean(self, points: Tensor, labels: Tensor) -> float:
        return points.item() / len(labels)

    def within(self, labels: Tensor, start: int) -> Tensor:
        return labels + start

    def some_labels(self, outputs: Tensor) -> Tensor:
        return torch.zeros(len(outputs), dtype=torch.int64, device=outputs.device)

    def answer_form(self, number: int, heads: HeadMap) -> tuple[torch.dtype, tuple[int, ...]]:
        return torch.int64, (number,)

    def fisher_labels(
        self, outputs: Tensor, true: Tensor, which: FisherLabels, rng: torch.Generator
    ) -> list[tuple[Tensor, Tensor]]:
        p = outputs.softmax(1)
        one = torch.ones_like(p[:, 0])
        if which == "predicted":
            return [(p.argmax(1), one)]
        if which == "true":
            return [(true, one)]
        if which == "sampled":
            drawn = torch.multinomial(p.cpu(), 1, generator=rng)[:, 0]
            return [(drawn.to(p.device), one)]
        return [(torch.full_like(true, label), p[:, label]) for label in range(p.shape[1])]


class Regression(Objective):
    """Labels float32 (b, d) are d numbers: the mean squared error, over examples and numbers. Answers are alike.

    The loss is -log p of a Gaussian with variance d/2 around the outputs, which is what the Fisher information is of.
    As a score, the error is divided by the variance of the task's test labels, number by number, or is left as it is.
    """

    def each(self, outputs: Tensor, labels: Tensor, start: int | Tensor = 0) -> Tensor:
        return (self._own(outputs, labels.shape[1], start) - labels).square().mean(1)

    def _own(self, outputs: Tensor, width: int, start: int | Tensor) -> Tensor:
        if isinstance(start, int):
            return outputs[:, start : start + width]
        return outputs.gather(1, start[:, None] + torch.arange(width, device=outputs.device))

    def predicted(self, outputs: Tensor, start: int | Tensor = 0) -> Tensor:
        return outputs

    def points(self, answers: Tensor, labels: Tensor, heads: HeadMap, task: int) -> Tensor:
        return (answers.double() - labels).square().sum(0)

    def mean(self, points: Tensor, labels: Tensor) -> float:
        errors = points / len(labels)
        if self.score is NMSE:
            errors = errors / labels.double().var(0, correction=0)
        return errors.mean().item()

    def some_labels(self, outputs: Tensor) -> Tensor:
        return torch.zeros_like(outputs)

    def answer_form(self, number: int, heads: HeadMap) -> tuple[torch.dtype, tuple[int, ...]]:
        return torch.float32, (number, heads.widest)

    def fisher_labels(
        self, outputs: Tensor, true: Tensor, which: FisherLabels, rng: torch.Generator
    ) -> list[tuple[Tensor, Tensor]]:
        one, width = torch.ones_like(outputs[:, 0]), outputs.shape[1]
        deviation = (width / 2) ** 0.5
        if which == "predicted":  # the mode, where the gradient is zero; methods refuse it
            return [(outputs, one)]
        if which == "true":
            return [(true, one)]
        if which == "sampled":
            noise = torch.randn(outputs.shape, generator=rng).to(outputs.device)
            return [(outputs + deviation * noise, one)]
        units = torch.eye(width, device=outputs.device)  # noise of one number at a time: they are independent
        return [(outputs + deviation * unit, one) for unit in units]


class GaussianRegression(Regression):
    """Regression with a variance that is learned too: of each number, for each input.

    Outputs of a task are d means m and d numbers r, from which log-variances s within `log_variance` = (low, high)
    come: u = high - softplus(high - r), s = low + softplus(u - low) (Chua et al., NeurIPS 2018, appendix A.1). The loss
    is -log p up to a constant, the sum over k of ((y_k - m_k)^2 exp(-s_k) + s_k) / 2 (Nix & Weigend, 1994; HyperCRL's
    code, which learns the bounds and divides by d / 2). Answers, and with them the scores, are the means.
    """

    def __init__(self, score: Score, log_variance: Sequence[float]) -> None:
        super().__init__(score)
        self._low, self._high = log_variance

    def each(self, outputs: Tensor, labels: Tensor, start: int | Tensor = 0) -> Tensor:
        means, log_variances = self.split(self._own(outputs, self.num_outputs(labels.shape[1]), start))
        return ((labels - means).square() * (-log_variances).exp() + log_variances).sum(1) / 2

    def split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns means and log-variances (b, d) from the outputs (b, 2d) of a task."""
        means, free = outputs.chunk(2, 1)
        below = self._high - F.softplus(self._high - free)
        return means, self._low + F.softplus(below - self._low)

    def num_outputs(self, count: int) -> int:
        return 2 * count

    def predicted(self, outputs: Tensor, start: int | Tensor = 0) -> Tensor:
        return outputs.chunk(2, 1)[0]

    def some_labels(self, outputs: Tensor) -> Tensor:
        return torch.zeros_like(outputs.chunk(2, 1)[0])

    def answer_form(self, number: int, heads: HeadMap) -> tuple[torch.dtype, tuple[int, ...]]:
        return torch.float32, (number, heads.widest // 2)

    def fisher_labels(
        self, outputs: Tensor, true: Tensor, which: FisherLabels, rng: torch.Generator
    ) -> list[tuple[Tensor, Tensor]]:
        means, log_variances = self.split(outputs)
        deviations, one = (log_variances / 2).exp(), torch.ones_like(outputs[:, 0])
        if which == "predicted":  # the mode, where the means have no gradient; methods refuse it
            return [(means, one)]
        if which == "true":
            return [(true, one)]
        if which == "sampled":
            return [(means + deviations * torch.randn(means.shape, generator=rng).to(means.device), one)]
        noise, weight = exact_noise(means.shape[1])
        return [(means + deviations * z, weight * one) for z in noise.to(means.device)]


def exact_noise(width: int) -> tuple[Tensor, float]:
    """Returns noise z (n, d) and a weight w that give the exact diagonal of a Gaussian's Fisher information.

    With a_k a weight's gradient of mean k, divided by the deviation, and b_k half its gradient of log-variance k, the
    gradient of -log p where the noise is z is minus the sum over k of a_k z_k + b_k (z_k^2 - 1). The mean of its square
    over Gaussian noise is the sum of a_k^2 + 2 b_k^2. Here one z_k^2 at a time is u and all others are 1; signs are the
    rows of a Hadamard matrix and their opposites, over which products of different terms cancel. So the weighted sum
    is right if w (u + d - 1) = 1 and w (u - 1)^2 = 2.
    """
    signs = torch.ones(1, 1)
    while len(signs) < width:
        signs = torch.cat([torch.cat([signs, signs], 1), torch.cat([signs, -signs], 1)])
    signs = torch.cat([signs, -signs])[:, :width]
    square = 2 + (1 + 2 * width) ** 0.5
    lengths = torch.ones(width, width).fill_diagonal_(square**0.5)
    return (signs[:, None] * lengths).flatten(0, 1), 1 / (square + width - 1) / len(signs)


CLASSIFICATION = Classification(ACCURACY)
OBJECTIVES: Mapping[str, Objective] = {
    objective.score.name: objective for objective in (CLASSIFICATION, Regression(MSE), Regression(NMSE))
}


def objective_of(score: Score, likelihood: Literal["gaussian"] | None, log_variance: Sequence[float]) -> Objective:
    """Returns the objective of tasks with this score: the usual one, or that of a likelihood with a learned variance.

    Args:
        score: of the tasks; of regression if a `likelihood` is given.
        likelihood: None for cross-entropy or squared error.
        log_variance: the bounds of log-variances, if they are learned.
    """
    return OBJECTIVES[score.name] if likelihood is None else GaussianRegression(score, log_variance)
