"""Networks of every kind that users have, for inputs of two numbers: targets for tests, small and quick."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from hnet_cl.targets.bfloat16 import BFloat16
from hnet_cl.targets.mlp import MLP

WIDTH = 4


class Network(nn.Module):
    """A hidden layer, something in between, and the outputs."""

    def __init__(self, num_outputs: int, between: Any = nn.ReLU, *parts: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(2, WIDTH)
        self.between = between() if isinstance(between, type) else between
        self.parts = nn.ModuleList(parts)
        self.head = nn.Linear(WIDTH, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.middle(self.first(x)))

    def middle(self, h: Tensor) -> Tensor:
        return self.between(h)


class Recurrent(nn.Module):
    """The two numbers one after the other."""

    def __init__(self, num_outputs: int, kind: Callable[..., nn.RNNBase], **choices: Any) -> None:
        super().__init__()
        self.cells = kind(1, 3, batch_first=True, **choices)
        self.head = nn.Linear(3, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x[:, :, None])[0][:, -1])


class Convolutional(nn.Module):
    """The two numbers as an image, with batch normalisation."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(6, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x.view(-1, 1, 1, 2)))


class Transformer(nn.Module):
    """The two numbers as two tokens."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(1, WIDTH)
        self.encoder = nn.TransformerEncoderLayer(WIDTH, 2, 6, batch_first=True)
        self.head = nn.Linear(WIDTH, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x[:, :, None])).mean(1))


class Attention(Network):
    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, nn.MultiheadAttention(WIDTH, 2, batch_first=True))

    def middle(self, h: Tensor) -> Tensor:
        return self.between(*[h[:, None]] * 3)[0][:, 0]


class Cell(nn.Module):
    """Recurrent, a step at a time."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(1, 3)
        self.head = nn.Linear(3, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for one in x.split(1, dim=1):
            state = self.cell(one, state)
        assert state is not None
        return self.head(state[0])


class Embedding(nn.Module):
    """The two numbers as rows of a table."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.table = nn.Embedding(5, WIDTH)
        self.head = nn.Linear(WIDTH, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.table((2 * x.clamp(-1, 1) + 2).long()).sum(1))


class LooksAtValues(Network):
    def middle(self, h: Tensor) -> Tensor:
        return h.relu() / (1 + h.detach().abs().max().item())


class Branches(Network):
    def middle(self, h: Tensor) -> Tensor:
        return h.tanh() if h.mean() > 0 else h.relu()


class WritesByMask(Network):
    def middle(self, h: Tensor) -> Tensor:
        h = h.clone()
        h[h < 0] = 0
        return h


class AlwaysDrops(Network):
    """Draws at random in evaluation mode too."""

    def middle(self, h: Tensor) -> Tensor:
        return F.dropout(h.relu(), 0.5)


class Shared(Network):
    """One module with statistics under two names, and one weight in two layers."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH))
        self.again = self.between
        self.parts[1].weight = self.parts[0].weight

    def middle(self, h: Tensor) -> Tensor:
        return self.parts[1](self.again(self.parts[0](self.between(h))).relu())


class UsesWeightElsewhere(Network):
    """A linear layer that is called once, and its weight used once more."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, nn.Linear(WIDTH, WIDTH))

    def middle(self, h: Tensor) -> Tensor:
        return self.between(h).tanh() @ self.between.weight


class Lists(nn.Module):
    """Parameters in a list and in a dictionary, put together by einsum."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(WIDTH, 2), torch.randn(num_outputs, WIDTH)])
        self.biases = nn.ParameterDict({"hidden": torch.zeros(WIDTH)})
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.nothing = nn.Parameter(torch.empty(0, 3))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.einsum("bi,hi->bh", x, self.weights[0]) + self.biases["hidden"]
        return self.scale * torch.einsum("bh,oh->bo", hidden.tanh(), self.weights[1])


class Counts(Network):
    """A buffer that is replaced, not changed, and activations that are kept."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs)
        self.register_buffer("mean", torch.zeros(WIDTH))

    def middle(self, h: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        self.last = [h]
        return (h - self.mean).relu()


class Frozen(Network):
    """A part that is not trained, as a pretrained one, with statistics, and a lone frozen bias."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, nn.ReLU, nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH))
        self.parts.requires_grad_(False)
        self.first.bias.requires_grad_(False)

    def middle(self, h: Tensor) -> Tensor:
        return self.parts[1](self.parts[0](h.relu()))


class FrozenRecurrent(Recurrent):
    """A frozen recurrent part under a linear head."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, nn.GRU)
        self.cells.requires_grad_(False)


class _Double(torch.autograd.Function):
    """Of the old kind, which torch.func does not know."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * grad


class OwnFunction(Network):
    def middle(self, h: Tensor) -> Tensor:
        doubled: Tensor = _Double.apply(h)
        return doubled.relu()


class Checkpointed(Network):
    def middle(self, h: Tensor) -> Tensor:
        return checkpoint(self.between, h, use_reentrant=False)


class CheckpointedAsOfOld(Network):
    def middle(self, h: Tensor) -> Tensor:
        return checkpoint(self.between, h, use_reentrant=True) if torch.is_grad_enabled() else self.between(h)


class Unused(Network):
    """A layer that nothing depends on, and one that is used without gradients."""

    def __init__(self, num_outputs: int) -> None:
        super().__init__(num_outputs, nn.ReLU, nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH))

    def middle(self, h: Tensor) -> Tensor:
        self.parts[0](h)
        with torch.no_grad():
            shift = self.parts[1](h)
        return (h + shift).relu()


def old_weight_norm(layer: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(layer)


def square(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return norm(nn.Linear(WIDTH, WIDTH))


NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "mlp": lambda n: MLP((2,), n, [WIDTH, 3]),
    "convolution, batch norm": Convolutional,
    "batch norm": lambda n: Network(n, nn.BatchNorm1d(WIDTH)),
    "lstm": lambda n: Recurrent(n, nn.LSTM),
    "gru": lambda n: Recurrent(n, nn.GRU, bidirectional=False, num_layers=2, dropout=0.5),
    "rnn": lambda n: Recurrent(n, nn.RNN),
    "transformer": Transformer,
    "dropout": lambda n: Network(n, nn.Dropout(0.5)),
    "dropout always": AlwaysDrops,
    "item": LooksAtValues,
    "control flow": Branches,
    "masked write": WritesByMask,
    "shared": Shared,
    "weight used elsewhere": UsesWeightElsewhere,
    "weight norm": lambda n: Network(n, square(parametrizations.weight_norm)),
    "old weight norm": lambda n: Network(n, square(old_weight_norm)),
    "spectral norm": lambda n: Network(n, square(parametrizations.spectral_norm)),
    "old spectral norm": lambda n: Network(n, square(nn.utils.spectral_norm)),
    "nested": lambda n: Network(n, nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU()))),
    "lists, einsum": Lists,
    "group norm": lambda n: Network(n, nn.Sequential(nn.GroupNorm(2, WIDTH), nn.ReLU())),
    "layer norm": lambda n: Network(n, nn.Sequential(nn.LayerNorm(WIDTH), nn.PReLU())),
    "buffer replaced, activations kept": Counts,
    "frozen part": Frozen,
    "frozen recurrent part": FrozenRecurrent,
    "function of its own": OwnFunction,
    "checkpointing": Checkpointed,
    "reentrant checkpointing": CheckpointedAsOfOld,
    "attention": Attention,
    "recurrent cell": Cell,
    "embedding": Embedding,
    "unused layers": Unused,
    "bfloat16": lambda n: BFloat16(MLP((2,), n, [WIDTH])),
    "recurrent bfloat16": lambda n: BFloat16(Recurrent(n, nn.GRU)),
}
# Of which vmap does not know an operation: for tasks' networks, and for gradients of single examples. A frozen part
# sees the same weights and inputs whatever the task; LSTM's gradients are known, other recurrent layers' are not.
TASKS_ONE_BY_ONE = {
    "lstm",
    "gru",
    "rnn",
    "recurrent cell",
    "recurrent bfloat16",
    "dropout always",
    "item",
    "control flow",
    "masked write",
    "function of its own",
}
if torch.__version__.startswith("2.4."):  # later versions can do it
    TASKS_ONE_BY_ONE.add("checkpointing")
EXAMPLES_ONE_BY_ONE = TASKS_ONE_BY_ONE - {"lstm"} | {"frozen recurrent part", "reentrant checkpointing"}
# Whose trained parameters are weights and biases of plain linear layers and convolutions, each used in its layer alone.
PLAIN_LAYERS = {
    "mlp",
    "dropout",
    "dropout always",
    "item",
    "control flow",
    "masked write",
    "nested",
    "frozen part",
    "frozen recurrent part",
    "function of its own",
    "checkpointing",
    "reentrant checkpointing",
    "unused layers",
    "bfloat16",
}
CHAINS = PLAIN_LAYERS - {"frozen part", "unused layers"}  # whose layers read one another, unit by unit
BOUNDED_LAYERS = {"mlp", "dropout", "bfloat16"}  # that form a chain and have interval bounds
