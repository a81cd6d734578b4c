"""Sums over tasks and chunks that separate, as they do for a linear hypernetwork."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hnet_cl.hypernet.hypernetwork import Hypernetwork, Theta
from hnet_cl.hypernet.last_layer import Covered
from hnet_cl.hypernet.pairs import Collected, Pairs


class OverTasks(NamedTuple):
    """Sums over the tasks t with which chunk k enters R whole; constants, as embeddings of old tasks are.

    Where chunks have scales s_k, each term counts s_k^2 times.
    """

    number: Tensor  # of these tasks (K, 1)
    embeddings: Tensor  # their sum of e_t (K, E)
    moment: Tensor  # the sum of e_t e_t^T (E, E), over all chunks too


class SeparatedPairs(Pairs):
    """Pairs of a hypernetwork without hidden layers: O((T + K) H^2) time and memory. Features are all c_k (K, D).

    Old embeddings must be constants.
    There psi = [e_t; c_k; 1], and psi - psi* = [0; c_k - c_k*; 0], so that without its zeros

        z_tk = [e_t; u_k]      u_k = [c_k; 1; c_k - c_k*]      Z = E + 2D + 1

    With y_k the sum of z_tk over tasks, the columns of u in the sum of z z^T are the sum of y_k u_k^T over chunks, and
    half the gradient with respect to u_k is that of G y_k. No z_tk of a whole pair is ever made. Where chunks have
    scales s_k, z_tk is s_k times the above, and the terms of chunk k count s_k^2 times.
    """

    def __init__(self, hypernetwork: Hypernetwork, embeddings: Tensor, covered: Covered, every: Tensor) -> None:
        super().__init__(hypernetwork, embeddings, covered, every)
        size = embeddings.shape[1]
        self.anchor = slice(size, len(hypernetwork.head) - 1)
        self.anchor_codes = hypernetwork.chunk_embeddings.detach().clone()  # c* (K, D)
        self._scale_of_partial = None if hypernetwork.scales is None else hypernetwork.scales[self.partial[:, 1], None]
        self._over_all = self._sum(every)

    def features(self, theta: Theta, embeddings: Tensor) -> Tensor:
        return theta["chunk_embeddings"]

    def collect(self, features: Tensor, chosen: Tensor) -> Collected:
        tasks = self._over_all if chosen is self._every else self._sum(chosen)
        size, code = self.embeddings.shape[1], features.shape[1]
        u = torch.cat([F.pad(features, (0, 1), value=1), features - self.anchor_codes], dim=1)
        y = torch.cat([tasks.embeddings, tasks.number * u], dim=1)
        of_u = y.T @ u
        moment = torch.cat([torch.cat([tasks.moment, of_u[:size].T]), of_u], dim=1)
        _, here = self._places(chosen)
        task, chunk = self.partial[here].T
        partial = y.new_zeros(len(self.partial), y.shape[1])
        partial[here] = torch.cat([self.embeddings[task], u[chunk]], dim=1)
        scale = self._scale_of_partial
        if scale is not None:
            partial *= scale

        def pull(gram: Tensor, grad_partial: Tensor) -> Tensor:
            grad_u = y @ gram[:, size:]
            if scale is not None:
                grad_partial = scale * grad_partial
            grad_u.index_put_((chunk,), grad_partial[here, size:], accumulate=True)
            return grad_u[:, :code] + grad_u[:, code + 1 :]

        return Collected(moment, partial, pull)

    def _sum(self, chosen: Tensor) -> OverTasks:
        embeddings = self.embeddings[chosen]
        whole = self.whole[chosen].to(embeddings.dtype)  # (B, K)
        if self.hypernetwork.scales is not None:
            whole *= self.hypernetwork.scales.square()
        weighted = whole.sum(1, keepdim=True) * embeddings
        return OverTasks(whole.sum(0)[:, None], whole.T @ embeddings, embeddings.T @ weighted)
