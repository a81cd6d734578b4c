"""Exemplars of classes: chosen by herding, and classification by the nearest mean of them. A part of methods."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hnet_cl.targets.output_layer import features_in

WITHOUT = -3.0  # in place of minus the distance of unit vectors, which is at least -2, for classes without exemplars


def features(network: nn.Module, inputs: Tensor, num_outputs: int) -> Tensor:
    """Computes the features (b, F) of inputs, of length 1: what the network's `output_layer` is given.

    Where a network has no such layer, or does not call it once on a matrix (b, F), they are its outputs.
    """
    return F.normalize(features_in(network, num_outputs, network, inputs), dim=1)


def herd(features: Tensor, number: int) -> Tensor:
    """Chooses `number` exemplars by their features (n, F), so that the mean of the first k is near the mean of all.

    Each next one brings the mean of those chosen nearest to the mean of all features (Rebuffi et al., CVPR 2017,
    Alg. 4); none is chosen twice.

    Returns:
        Their rows (number,), in the order in which they were chosen.
    """
    mean, total = features.mean(0), torch.zeros_like(features[0])
    left = torch.ones(len(features), dtype=torch.bool, device=features.device)
    chosen = []
    for k in range(1, number + 1):
        distances = ((features + total) / k - mean).square().sum(1)
        best = distances.masked_fill(~left, torch.inf).argmin()
        left[best] = False
        total = total + features[best]
        chosen.append(best)
    return torch.stack(chosen) if chosen else torch.zeros(0, dtype=torch.int64, device=features.device)


def nearness(features: Tensor, means: Tensor, known: Tensor) -> Tensor:
    """Computes minus the distance (b, C) of features (b, F) to means (C, F); `WITHOUT` for classes not `known` (C,)."""
    return torch.where(known, -torch.cdist(features, means), WITHOUT)
