"""The task-conditioned hypernetwork h(e_t, theta) of von Oswald et al. (ICLR 2020), chunked or not."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hnet_cl.hypernet.chunks import AlignedBlocks, Blocks, Chunks
from hnet_cl.hypernet.starts import chunk_starts, draw_columns, start_columns, to_expected_length
from hnet_cl.hypernet.target import Layout, sizes_of

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}

Theta = Mapping[str, Tensor]


def embedding_name(task: int) -> str:
    """Returns the name of a task's embedding among the parameters of a hypernetwork."""
    return f"task_embeddings.{task}"


class Hypernetwork(nn.Module):
    """Generates the N weights of a target network from a task embedding (paper, sections 2 and 4).

    With chunking, the N weights are cut into K = ceil(N / chunk_size) blocks of S = chunk_size numbers. One small
    network maps [e_t ; c_k] (task embedding, learned chunk embedding) to features phi_tk (H,), and its last, affine
    layer (`head`) maps these to block k; the surplus of the last block is dropped. Without chunking there is one block
    (K = 1, S = N) and no chunk embedding.

    If the layout says how its tensors start, no chunk lies in two of them, so that there are more chunks, and block k
    is the head's output times a scale s_k, plus an offset. The features are s_k [phi_tk ; 1] then, so that whatever is
    computed from them and the head, as the regulariser, takes the scales into account and stays exact.

    theta denotes all parameters that the tasks share: all but the task embeddings.

    Attributes:
        plastic: whether embeddings of old tasks are trained on, together with theta, when their weights are protected
            (the official code's `continue_emb_training`); False if nothing else is said. To be set before a task.
        chunks: where the blocks lie in the vector of weights.
        scales: s_k (K,), constants; None where all are 1, as they are unless the layout has starts and is chunked.

    Args:
        layout: names and shapes of the target network's parameters, and how they start (`layout_for`).
        num_tasks: number of task embeddings.
        task_embedding: size of a task embedding.
        hidden: sizes of the hidden layers; empty for a linear hypernetwork.
        activation: one of `ACTIVATIONS`, after each hidden layer.
        chunk_size: S, or None for no chunking. Where no chunk lies in two tensors, S is at most the largest one's size.
        chunk_embedding: size of a chunk embedding; not used without chunking.

    Initialisation (official code): Xavier-uniform matrices (without chunking, the last layer has one for each target
    parameter), zero biases, embeddings from N(0, 1). With starts, scales and offsets (without chunking, the last
    layer's matrices and biases) are such that the generated tensors have these means and standard deviations.

    Raises:
        ValueError: `chunk_size` is not positive.
    """

    OF_TASKS: ClassVar[tuple[str, ...]] = ("task_embeddings",)  # lists of parameters, one for each task

    scales: Tensor | None
    offsets: Tensor | None

    def __init__(
        self,
        layout: Layout,
        num_tasks: int,
        *,
        task_embedding: int,
        hidden: Sequence[int],
        activation: str = "relu",
        chunk_size: int | None = None,
        chunk_embedding: int = 0,
    ) -> None:
        super().__init__()
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size={chunk_size}: give a positive number, or None for no chunking")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation}: give one of {', '.join(ACTIVATIONS)}")
        self.layout = layout
        self._chunked = chunk_size is not None
        self.activation = ACTIVATIONS[activation]
        self.plastic = False
        self._embedding_size = task_embedding
        aligned = self._chunked and layout.starts is not None
        self.block_size = chunk_size or layout.total
        if aligned:
            self.block_size = min(self.block_size, max(layout.sizes))
        self.chunks = Chunks(layout.sizes if aligned else (layout.total,), self.block_size)
        self.num_chunks = self.chunks.number
        for name in ("scales", "offsets"):
            self.register_buffer(name, torch.empty(self.num_chunks) if aligned else None)
        code = chunk_embedding if chunk_size else 0
        self.task_embeddings = nn.ParameterList(torch.empty(task_embedding) for _ in range(num_tasks))
        self.chunk_embeddings = nn.Parameter(torch.empty(self.num_chunks, code))
        sizes = [task_embedding + code, *hidden]
        self.trunk = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        # (H+1, S): the last layer's weights, transposed, and its biases as the last row. With this layout every
        # product with it reads contiguous memory, and one product covers weights and biases.
        self.head = nn.Parameter(torch.empty(sizes[-1] + 1, self.block_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draws all parameters afresh from torch's global generator."""
        for parameter in self.trunk.parameters():
            (nn.init.zeros_ if parameter.dim() == 1 else nn.init.xavier_uniform_)(parameter)
        draw_columns(self.head, (self.block_size,) if self._chunked else self.layout.sizes)
        for embedding in (*self.task_embeddings, self.chunk_embeddings):
            nn.init.normal_(embedding)
        if self.layout.starts is not None:
            self._start()

    def _start(self) -> None:
        """Lets generated tensors start with the means and standard deviations that the layout wants.

        With Xavier's matrices, a block of S numbers has the variance 2 / (H + S) * |phi_tk|^2. Task embeddings get
        their expected length, so that without hidden layers |phi_tk| is the same for all tasks; with hidden layers,
        the mean of its square over tasks counts.
        """
        for embedding in self.task_embeddings:
            to_expected_length(embedding)
        if self.scales is None:
            start_columns(self.head, self.layout.piece_starts, sizes_of(self.layout.pieces), self._mean_square())
        else:
            self._start_chunks()

    def _start_chunks(self) -> None:
        """Chooses scales and offsets of all chunks."""
        self.scales = self.head.new_ones(self.num_chunks)
        spread = sqrt(2 / (len(self.head) - 1 + self.block_size)) * self._mean_square().sqrt()  # (K,)
        self.scales, self.offsets = chunk_starts(self.layout.piece_starts, self.chunks.counts, spread)

    def _mean_square(self) -> Tensor:
        """Returns the mean of |phi_tk|^2 over the tasks t (K,)."""
        squares = [self.features(e[None])[0, :, :-1].square().sum(1) for e in self.task_embeddings]
        return torch.stack(squares).mean(0)

    @torch.no_grad()
    def generate_zeros(self) -> None:
        """Sets the last layer to zero: all generated weights are 0 until it is trained, and its gradient is not.

        It is the start of residuals, W = W_0 + h(e): each task's network begins as W_0, whatever the scale of h.
        """
        nn.init.zeros_(self.head)
        if self.offsets is not None:
            nn.init.zeros_(self.offsets)

    @torch.no_grad()
    def add_task(self) -> int:
        """Appends what belongs to one more task alone, which starts as the constructor lets it; returns its number.

        What is generated for other tasks stays the same. `start_from` lets the new task begin at embeddings of others.
        A `RegularizedTraining` that exists goes on with its own task; one for the new task treats all others as old.
        """
        embedding = nn.Parameter(nn.init.normal_(self.head.new_empty(self._embedding_size)))
        if self.layout.starts is not None:
            to_expected_length(embedding)
        self.task_embeddings.append(embedding)
        return len(self.task_embeddings) - 1

    @torch.no_grad()
    def add_weights(self, layout: Layout) -> None:
        """Lets it generate more weights: those of `layout`, which comes `after` the present one.

        Weights that were generated before stay the same. Others start as the constructor lets them, from new chunk
        embeddings or, without chunking, from new columns of the last layer. These parameters are replaced by larger
        ones, so optimisers and regularisers have to be built anew.

        Raises:
            ValueError: `layout` does not begin with the present one.
        """
        known = len(self.layout.pieces)
        if layout.pieces[:known] != self.layout.pieces:
            raise ValueError("the layout does not begin with the present one; give Layout.after(hypernetwork.layout)")
        self.layout = layout
        if not self._chunked and len(layout.pieces) > known:
            self._add_columns(known)
        self.chunks = Chunks(sizes_of(layout.pieces) if self.scales is not None else (layout.total,), self.block_size)
        if self.chunks.number > self.num_chunks:
            self._add_chunks()

    def _add_columns(self, known: int) -> None:
        sizes = sizes_of(self.layout.pieces[known:])
        columns = self.head.new_empty(len(self.head), sum(sizes))
        draw_columns(columns, sizes)
        if self.layout.starts is not None:
            start_columns(columns, self.layout.piece_starts[known:], sizes, self._mean_square())
        self.head = nn.Parameter(torch.cat([self.head, columns], dim=1))
        self.block_size = self.layout.total

    def _add_chunks(self) -> None:
        old = self.chunk_embeddings
        new = nn.init.normal_(old.new_empty(self.chunks.number - self.num_chunks, old.shape[1]))
        self.chunk_embeddings = nn.Parameter(torch.cat([old, new]))
        known, self.num_chunks = self.num_chunks, self.chunks.number
        if self.scales is not None and self.offsets is not None:
            scales, offsets = self.scales, self.offsets
            self._start_chunks()
            self.scales[:known], self.offsets[:known] = scales, offsets

    @property
    def theta(self) -> dict[str, nn.Parameter]:
        """Returns the parameters that all tasks share, by name."""
        return {name: p for name, p in self.named_parameters() if name.partition(".")[0] not in self.OF_TASKS}

    def own(self, task: int) -> list[nn.Parameter]:
        """Returns the parameters that belong to task `task` alone."""
        return [parameters[task] for parameters in self._of_tasks]

    @torch.no_grad()
    def start_from(self, known: Sequence[int], task: int) -> None:
        """Sets the parameters of `task` alone to the means of those of the tasks `known`."""
        for parameters in self._of_tasks:
            parameters[task].copy_(torch.stack([parameters[other] for other in known]).mean(0))

    @property
    def _of_tasks(self) -> list[Sequence[nn.Parameter]]:
        return [getattr(self, name) for name in self.OF_TASKS]

    @property
    def separates(self) -> bool:
        """Tells whether psi = [e_t; c_k; 1] with constant embeddings of old tasks, so that sums over these separate."""
        return not len(self.trunk) and not self.plastic

    def held(self, task: int) -> dict[str, nn.Parameter]:
        """Returns theta, by name, and if they are `plastic` the embeddings of the tasks before `task`."""
        old = range(task) if self.plastic else ()
        return {**self.theta, **{embedding_name(number): self.task_embeddings[number] for number in old}}

    def embeddings(self, tasks: Sequence[int]) -> Tensor:
        """Returns the task embeddings (B, E) of several tasks."""
        return torch.stack([self.task_embeddings[task] for task in tasks])

    def features(self, embeddings: Tensor, theta: Theta | None = None) -> Tensor:
        """Computes the last layer's input psi = s_k [phi; 1] (B, K, H+1) for task embeddings (B, E) and every chunk.

        The first layer is applied to task and chunk embeddings separately and the results are added, so it costs
        B + K rows instead of B * K.
        """
        theta = self.theta if theta is None else theta
        chunks = theta["chunk_embeddings"]
        size = embeddings.shape[1]
        if not len(self.trunk):
            both = len(embeddings), len(chunks), -1
            return self._scaled(torch.cat([embeddings[:, None].expand(both), chunks.expand(both)], dim=2))
        weight = theta["trunk.0.weight"]
        of_tasks = F.linear(embeddings, weight[:, :size], theta["trunk.0.bias"])  # (B, H0)
        return self._scaled(self._from_first_layer(of_tasks[:, None] + F.linear(chunks, weight[:, size:]), theta))

    def features_of_pairs(self, embeddings: Tensor, chunks: Tensor, theta: Theta | None = None) -> Tensor:
        """Computes psi (n, H+1) for n pairs of a task embedding (n, E) and a chunk index (n,)."""
        theta = self.theta if theta is None else theta
        codes = torch.cat([embeddings, theta["chunk_embeddings"][chunks]], dim=1)
        if not len(self.trunk):
            return self._scaled(codes, chunks)
        phi = self._from_first_layer(F.linear(codes, theta["trunk.0.weight"], theta["trunk.0.bias"]), theta)
        return self._scaled(phi, chunks)

    def _from_first_layer(self, phi: Tensor, theta: Theta) -> Tensor:
        """Computes phi (..., H) from the first hidden layer's pre-activations (..., H0)."""
        for i in range(1, len(self.trunk)):
            phi = F.linear(self.activation(phi), theta[f"trunk.{i}.weight"], theta[f"trunk.{i}.bias"])
        return self.activation(phi)

    def _scaled(self, phi: Tensor, chunks: Tensor | None = None) -> Tensor:
        """Returns psi = s_k [phi; 1] (..., K, H+1) of all chunks, or (n, H+1) of those with the indices (n,)."""
        psi = F.pad(phi, (0, 1), value=1)
        if self.scales is None:
            return psi
        return psi * (self.scales if chunks is None else self.scales[chunks])[:, None]

    def generate(self, features: Tensor, theta: Theta | None = None) -> Tensor:
        """Generates weights (B, N) from features psi (B, K, H+1) by the affine last layer, one block per chunk.

        The weights are linear in psi: biases of the last layer and offsets of chunks are factors of its last number.
        """
        theta = self.theta if theta is None else theta
        weights: Tensor
        if self.offsets is None:
            weights = Blocks.apply(features, theta["head"], self.layout.total)
        else:
            weights = AlignedBlocks.apply(features, theta["head"], self.offsets, self.chunks)
        return weights

    def forward(self, task: int) -> Tensor:
        """Generates the weights (N,) of task `task`."""
        return self.generate(self.features(self.embeddings([task]))).view(-1)
