"""The convolutions of van de Ven, Tuytelaars and Tolias (2022), whose features of CIFAR-100 tasks are learned.

They were trained on CIFAR-10; the file of their weights is store/models/C3-5x16-bn-e100 in the repository
GMvandeVen/continual-learning on GitHub. From the folder above this one:

python -m hnet_cl benchmark=split benchmark.classes_per_task=10 dataset=features dataset.of=cifar100 \
  dataset.of.normalize=dataset dataset.network=examples.frozen_convolutions.Convolutions \
  dataset.weights=./C3-5x16-bn-e100 target=mlp_2000 training.iterations=5000 training.batch_size=256 training.lr=1e-4
"""

from collections import OrderedDict

from torch import Tensor, nn

CHANNELS = (3, 16, 32, 64, 128, 256)


class Convolutions(nn.Sequential):
    """Computes 1,024 features of an image: five convolutions, all but the first of which halve its sides.

    Batch normalisation and ReLU follow all but the last. Images (n, 3, 32, 32) become (n, 256, 2, 2).
    """

    def __init__(self) -> None:
        super().__init__(OrderedDict((f"convLayer{layer}", _layer(layer)) for layer in range(1, len(CHANNELS))))

    def forward(self, images: Tensor) -> Tensor:
        """Computes the features (n, 1024) of images (n, 3, 32, 32)."""
        features: Tensor = super().forward(images)
        return features.flatten(1)


def _layer(layer: int) -> nn.Sequential:
    inputs, outputs = CHANNELS[layer - 1 : layer + 1]
    parts: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(inputs, outputs, 3, stride=1 if layer == 1 else 2, padding=1))
    ]
    if layer < len(CHANNELS) - 1:
        parts += [("bn", nn.BatchNorm2d(outputs)), ("relu", nn.ReLU())]
    return nn.Sequential(OrderedDict(parts))
