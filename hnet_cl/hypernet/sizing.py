"""The chunk size with which a hypernetwork reaches a given compression ratio, and what its regulariser costs."""

import itertools
from collections.abc import Sequence
from math import ceil, isqrt

from hnet_cl.hypernet.hypernetwork import Hypernetwork


def num_parameters(
    total: int,
    num_tasks: int,
    *,
    task_embedding: int,
    chunk_embedding: int,
    hidden: Sequence[int],
    chunk_size: int,
    pieces: Sequence[int] | None = None,
) -> int:
    """Returns the number of parameters, task embeddings included, of a chunked `Hypernetwork` for `total` weights.

    With `pieces`, no chunk lies in two of them, and none is larger than the largest.
    """
    if pieces is not None:
        chunk_size = min(chunk_size, max(pieces))
    sizes = [task_embedding + chunk_embedding, *hidden]
    trunk = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    chunks = sum(-(-piece // chunk_size) for piece in pieces or [total]) * chunk_embedding
    return num_tasks * task_embedding + trunk + chunks + (sizes[-1] + 1) * chunk_size


def chunk_size_for(
    compression: float,
    total: int,
    num_tasks: int,
    *,
    task_embedding: int,
    chunk_embedding: int,
    hidden: Sequence[int],
    pieces: Sequence[int] | None = None,
) -> int:
    """Returns the size of the fewest chunks for which a hypernetwork has at most `compression * total` parameters.

    With K chunks of C = ceil(total / K) weights, and H the width of the last hidden layer (without one, the size of
    both embeddings together), the hypernetwork has (H + 1) C + K chunk_embedding parameters and others whose number
    does not depend on K. If no K satisfies the bound, the K that minimises (H + 1) total / K + K chunk_embedding is
    taken. With `pieces` there are more than K chunks, at most by their number.

    Args:
        compression: ratio of the hypernetwork's parameters to generated weights (von Oswald et al., ICLR 2020,
            section 4: compression ratio).
        total: number N of generated weights.
        num_tasks: number of task embeddings, which count as parameters too.
        task_embedding, chunk_embedding, hidden: as for `Hypernetwork`.
        pieces: sizes of the tensors, where no chunk may lie in two of them; None where chunks may.
    """

    def parameters(number: int) -> int:
        return num_parameters(
            total,
            num_tasks,
            task_embedding=task_embedding,
            chunk_embedding=chunk_embedding,
            hidden=hidden,
            chunk_size=ceil(total / number),
            pieces=pieces,
        )

    width = [task_embedding + chunk_embedding, *hidden][-1] + 1
    most = isqrt(width * total // chunk_embedding) if chunk_embedding else total  # K where the sum is least
    most = min(max(most, 1), total)
    budget = int(compression * total)
    if parameters(most) > budget:
        return ceil(total / most)
    rest = budget - (parameters(1) - width * total - chunk_embedding)
    first = ceil(width * total / rest)  # with fewer chunks the last layer alone is too large
    return ceil(total / next((number for number in range(first, most) if parameters(number) <= budget), most))


def operations_per_old_task(hypernetwork: Hypernetwork) -> int:
    """Returns by how many operations a value of `GramRegularizer` with its gradients grows with each old task.

    With K chunks and H units in the last hidden layer these are 16 K (H+1)^2: two products of K vectors of 2 (H+1)
    numbers with a square matrix, at two operations an entry. Without hidden layers sums separate, and hardly any grow,
    unless old embeddings are plastic. Chunks that tensors cut are summed one by one in any case.
    """
    if not hypernetwork.separates:
        length, whole = 2 * len(hypernetwork.head), 4 * hypernetwork.num_chunks * (2 * len(hypernetwork.head)) ** 2
    else:
        length, whole = len(hypernetwork.head) + hypernetwork.chunk_embeddings.shape[1], 0
    if hypernetwork.scales is None:
        return whole
    cuts = hypernetwork.chunks.cuts
    borders = sorted({*cuts})
    return whole + 4 * length**2 * sum(borders.index(cut) + 1 for cut in cuts)


def operations_of_generation(hypernetwork: Hypernetwork) -> int:
    """Returns how many operations the last layer takes to generate one task's weights, with the gradients.

    With blocks of S weights these are 6 K S (H+1): three products of matrices (K, H+1), (H+1, S) and (K, S).
    """
    return 6 * hypernetwork.num_chunks * hypernetwork.head.numel()
