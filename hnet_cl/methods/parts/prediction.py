"""The answers of a learner to a batch of inputs. A part of methods."""

from typing import NamedTuple

import torch
from torch import Tensor

from hnet_cl.scenario import HeadMap


class Prediction(NamedTuple):
    """Per input: the chosen output (b,) and, where the task is inferred, that task (b,) and the rule's score (b,).

    In regression `output` are the predicted numbers (b, d), and `logits` the outputs that they are read from.
    `logits` (b, n) are those of the outputs that could be chosen, with -inf where a row has fewer than n of them; None
    if the method has no logits.
    """

    output: Tensor
    task: Tensor | None = None
    task_score: Tensor | None = None
    logits: Tensor | None = None

    @property
    def confidence(self) -> Tensor | None:
        """Computes the softmax probability (b,) of the chosen output among those that could be chosen.

        It is computed on access, so that evaluation, which does not use it, does not pay for it. None without logits.
        """
        return None if self.logits is None else self.logits.softmax(1).amax(1)

    def only(self, chosen: Tensor) -> "Prediction":
        """Returns the predictions that the mask `chosen` (b,) selects."""
        return Prediction(*(None if part is None else part[chosen] for part in self))  # type: ignore[arg-type]

    def invalid(self, heads: HeadMap) -> Tensor:
        """Marks (b,) the predictions that are meaningless because a logit or a score is NaN or infinite.

        If the task was inferred, logits beyond its number of classes are padding (-inf) and are ignored.
        """
        invalid = torch.zeros(len(self.output), dtype=torch.bool, device=self.output.device)
        if self.task_score is not None:
            invalid |= ~self.task_score.isfinite()
        logits = self.logits
        if logits is not None:
            if self.task is not None:
                classes = torch.tensor(heads.class_counts, device=logits.device)[self.task]
                absent = torch.arange(logits.shape[1], device=logits.device) >= classes.unsqueeze(1)
                logits = logits.masked_fill(absent, 0)
            invalid |= (logits * 0).sum(1).isnan()  # zero times infinity is NaN; faster than isfinite() on each number
        return invalid
