"""How well the features of one task's network tell the classes of another task, and where that places a new task.

Bao et al., An information-theoretic approach to transferability in task transfer learning, ICIP 2019 (the H-score);
H-embedding guided hypernetworks, NeurIPS 2025 (arXiv 2502.11609).
"""

import torch
from torch import Tensor

LEAST = 0.1  # distance to the old task of the best score (authors' code)


def h_score(features: Tensor, labels: Tensor) -> Tensor:
    """Computes tr(cov(f)^+ cov(E[f | y])) of features f (n, F) and labels y (n,), in float64.

    It is at least 0, and at most the number of classes minus one, which features reach that separate the classes
    linearly without any spread within a class, as n examples in general position do if F >= n - 1. NaN if features
    are.
    """
    if not features.isfinite().all():
        return features.new_full((), torch.nan, dtype=torch.float64)
    centred = features.double() - features.double().mean(0)
    number = int(labels.max()) + 1
    sums = centred.new_zeros(number, centred.shape[1]).index_add(0, labels, centred)
    counts = labels.bincount(minlength=number)
    means = sums / counts.clamp(min=1)[:, None]
    between = (means * counts[:, None]).T @ means
    return (torch.linalg.pinv(centred.T @ centred, hermitian=True) @ between).trace()


def distances(scores: Tensor) -> Tensor:
    """Returns the distances (t,) to old tasks with these H-scores (t,): the higher the score, the nearer."""
    return scores.max() + scores.min() + LEAST - scores


def guide(embeddings: Tensor, wanted: Tensor, start: Tensor, steps: int, lr: float) -> Tensor:
    """Finds a place g (E,) whose distances to old embeddings (t, E) are in proportion to the `wanted` ones (t,).

    It minimises sum_i |s wanted_i - |g - e_i|| over g and s by Adam, from g = `start` (E,) and s = 1.
    """
    with torch.enable_grad():
        place, scale = start.clone().requires_grad_(), torch.ones_like(wanted[0]).requires_grad_()
        optimizer = torch.optim.Adam([place, scale], lr=lr)
        for _ in range(steps):
            optimizer.zero_grad()
            gaps = scale * wanted - (place - embeddings).norm(dim=1)
            gaps.abs().sum().backward()
            optimizer.step()
    return place.detach()
