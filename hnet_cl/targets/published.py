"""Networks of other packages, each with the images that its published weights are for.

Parameters have their package's names, so that its files of weights fit. A package is imported when a network is built.
"""

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from hnet_cl.targets.frozen_norm import freeze_statistics
from hnet_cl.targets.inputs import Scaling, Side, prepare_images

Statistics = Literal["tracked", "frozen"]
LAYERS, HEAD_WIDTH, HIDDEN = 12, 64, 4  # of ViT-S and ViT-B; hidden layers are four times as wide


def efficientnet_lite0(
    num_classes: int,
    size: Side | None,
    normalize: Scaling | None,
    statistics: Statistics,
    dropout: Annotated[float, Field(ge=0, lt=1)],
) -> nn.Module:
    """Builds EfficientNet-Lite0 (Tan & Le, ICML 2019, without squeeze and excitation) of efficientnet-lite-pytorch.

    Blocks are never skipped at random, so that what is frozen gives the same features at every step.

    Args:
        num_classes: number of logits.
        size, normalize: as for `prepare_images`.
        statistics: of batch normalisation: `tracked` in training, or `frozen` as the network's weights have them.
        dropout: share of the output layer's inputs that are dropped.

    Raises:
        ValueError: the package is not installed.
    """
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise _missing("efficientnet-lite-pytorch", "'hnet-cl[efficientnet]'") from error
    given = {"image_size": None, "num_classes": num_classes, "dropout_rate": dropout, "drop_connect_rate": 0.0}
    return _prepared(EfficientNet.from_name("efficientnet-lite0", **given), size, normalize, statistics)


def resnet(
    num_classes: int,
    depth: Literal[18, 34, 50, 101, 152],
    size: Side | None,
    normalize: Scaling | None,
    statistics: Statistics,
) -> nn.Module:
    """Builds a residual network for ImageNet (He et al., CVPR 2016) of torchvision.

    Args:
        num_classes: number of logits.
        depth: number of layers.
        size, normalize, statistics: as for `efficientnet_lite0`.
    """
    from torchvision.models import get_model

    network = get_model(f"resnet{depth}", weights=None, num_classes=num_classes)
    return _prepared(network, size, normalize, statistics)


def vision_transformer(
    num_classes: int,
    library: Literal["torchvision", "timm"],
    size: Side,
    patch_size: Side,
    width: Annotated[int, Field(gt=0, le=8192, multiple_of=HEAD_WIDTH)],
    normalize: Scaling | None,
) -> nn.Module:
    """Builds a vision transformer with 12 layers (Dosovitskiy et al., ICLR 2021).

    Args:
        num_classes: number of logits.
        library: whose network it is, and whose files of weights fit.
        size, normalize: as for `prepare_images`.
        patch_size: pixels of a patch's sides.
        width: numbers for each patch. Heads of attention have 64, hidden layers four times as many.

    Raises:
        ValueError: timm is not installed.
    """
    heads = width // HEAD_WIDTH
    if library == "timm":
        try:
            from timm.models.vision_transformer import VisionTransformer as OfTimm
        except ImportError as error:
            raise _missing("timm", "timm") from error
        network: nn.Module = OfTimm(
            img_size=size,
            patch_size=patch_size,
            num_classes=num_classes,
            embed_dim=width,
            depth=LAYERS,
            num_heads=heads,
        )
    else:
        from torchvision.models import VisionTransformer

        network = VisionTransformer(size, patch_size, LAYERS, heads, width, HIDDEN * width, num_classes=num_classes)
    return _prepared(network, size, normalize, "tracked")


def _prepared(network: nn.Module, size: int | None, normalize: Scaling | None, statistics: Statistics) -> nn.Module:
    prepare_images(network, size, normalize)
    if statistics == "frozen":
        freeze_statistics(network)
    return network


def _missing(package: str, what: str) -> ValueError:
    return ValueError(f"{package} is not installed; pip install {what}")
