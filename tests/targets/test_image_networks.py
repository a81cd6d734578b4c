"""The networks for images: sizes, shapes, what dropout and batch normalisation do, also with generated weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hnet_cl.hypernet import TargetNetwork
from hnet_cl.targets.bfloat16 import BFloat16, in_float32
from hnet_cl.targets.convnet import ConvNet
from hnet_cl.targets.resnet import ResNet
from hnet_cl.targets.zenke import ZenkeNet

SHAPE = (3, 32, 32)


def zenke(in_shape: tuple[int, ...] = SHAPE, num_outputs: int = 60) -> ZenkeNet:
    return ZenkeNet(in_shape, num_outputs, conv_dropout=0.25, dense_dropout=0.5)


def resnet(in_shape: tuple[int, ...] = SHAPE, num_outputs: int = 60, blocks: int = 5) -> ResNet:
    return ResNet(in_shape, num_outputs, blocks, [16, 16, 32, 64])


def convnet(in_shape: tuple[int, ...] = SHAPE, num_outputs: int = 20) -> ConvNet:
    return ConvNet(in_shape, num_outputs, [16, 32, 64], dense=64, dropout=0.25)


def weights_of(module: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(module.parameters()).detach()


@pytest.mark.parametrize(("make", "weights"), [(zenke, 1_276_508), (resnet, 468_540)])
def test_published_sizes(make: Callable[[], nn.Module], weights: int) -> None:
    assert len(weights_of(make())) == weights


@pytest.mark.parametrize("make", [zenke, resnet, convnet])
@pytest.mark.parametrize("in_shape", [(3, 32, 32), (1, 28, 36)])
def test_images_of_any_size_give_logits(make: Callable[..., nn.Module], in_shape: tuple[int, ...]) -> None:
    network = make(in_shape, 7).eval()
    images = torch.rand(2, *in_shape)
    logits = network(images)
    assert logits.shape == (2, 7)
    assert torch.allclose(network(images[1:]), logits[1:], atol=1e-5)
    assert torch.allclose(network(images.to(memory_format=torch.channels_last)), logits, atol=1e-5)


def test_zenke_by_the_book() -> None:
    network = zenke().eval()
    conv = [(layer.weight, layer.bias) for layer in network.features if isinstance(layer, nn.Conv2d)]
    images = torch.rand(2, *SHAPE)
    x = images
    for first, second in (conv[:2], conv[2:]):
        x = nn.functional.conv2d(x, *first, padding=1).relu()
        x = nn.functional.max_pool2d(nn.functional.conv2d(x, *second).relu(), 2)
    assert x.shape == (2, 64, 6, 6)
    dense = (x.flatten(1) @ network.dense.weight.T + network.dense.bias).relu()
    expected = dense @ network.head.weight.T + network.head.bias
    assert torch.allclose(network(images), expected, atol=1e-6)


def test_resnet_has_32_layers_that_are_normalised_and_no_weights_in_shortcuts() -> None:
    network = resnet()
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(convolutions) == len(norms) == 31  # and the output layer
    assert all(layer.kernel_size == (3, 3) and layer.bias is not None for layer in convolutions)
    assert [layer.out_channels for layer in convolutions] == [norm.num_features for norm in norms]
    assert {norm.momentum for norm in norms} == {0.1}


def test_a_block_whose_convolutions_are_silent_is_its_shortcut() -> None:
    network = resnet(blocks=1).eval()
    for name, parameter in network.groups.named_parameters():
        if "norm2" in name:
            nn.init.zeros_(parameter)
    x = torch.rand(2, 16, 8, 8)  # not negative, so that ReLU changes nothing
    y = network.groups(x)
    assert y.shape == (2, 64, 2, 2)
    assert torch.equal(y[:, 24:40], x[:, :, ::4, ::4])  # 8 empty channels below 16, then 16 below 32
    assert y[:, :24].abs().sum() == y[:, 40:].abs().sum() == 0


@pytest.mark.parametrize("make", [zenke, convnet])
def test_dropout_follows_the_mode_with_generated_weights(make: Callable[[], nn.Module]) -> None:
    module = make()
    target, weights, images = TargetNetwork(module), weights_of(module), torch.rand(3, *SHAPE)
    training = [target.train()(weights, images) for _ in range(2)]
    answers = [target.train(False)(weights, images) for _ in range(2)]
    assert not torch.equal(*training)
    assert torch.equal(*answers) and torch.allclose(answers[0], module.eval()(images), atol=1e-6)


def test_zenke_drops_whole_channels_and_single_units() -> None:
    network = zenke().train()
    dropped = []
    for layer in network.modules():
        if isinstance(layer, nn.Dropout2d | nn.Dropout):
            layer.register_forward_hook(lambda layer, given, output: dropped.append((given[0], output)))
    network(torch.rand(100, *SHAPE))
    *channels, units = dropped
    for before, after in channels:
        lit = (before > 0).any((2, 3))
        gone = (after == 0).all((2, 3)) & lit
        assert torch.allclose(after, (before / 0.75) * ~gone[:, :, None, None])
        assert gone.sum() / lit.sum() == pytest.approx(0.25, abs=0.03)
    before, after = units
    assert ((after == 0) & (before > 0)).sum() / (before > 0).sum() == pytest.approx(0.5, abs=0.02)


def test_batch_normalisation_uses_and_moves_the_statistics_it_is_given() -> None:
    module = resnet(blocks=1)
    target, weights, images = TargetNetwork(module), weights_of(module), torch.rand(8, *SHAPE)
    own, other = target.fresh_buffers(), target.fresh_buffers()
    module.train()(images)
    target.train()(weights, images, own)
    expected = dict(module.named_buffers())
    assert all(torch.allclose(own[name], expected[name], atol=1e-6) for name in expected)
    assert own["norm.num_batches_tracked"] == 1 and other["norm.num_batches_tracked"] == 0
    with_own = target.train(False)(weights, images, own)
    assert torch.allclose(with_own, module.eval()(images), atol=1e-5)
    assert not torch.allclose(with_own, target(weights, images, other), atol=1e-2)


@pytest.mark.parametrize("make", [zenke, resnet, convnet])
def test_bfloat16_rounds_activations_and_gradients_a_little(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    network = make().eval()
    images = torch.rand(8, *SHAPE)
    inner: list[torch.dtype] = []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _layer, _inputs, output: inner.append(output.dtype))
    found = {}
    for name, one in (("exact", network), ("rounded", BFloat16(network))):
        inner.clear()
        logits = one(images)
        gradients = torch.autograd.grad(logits.square().sum(), list(network.parameters()))
        found[name] = logits, torch.cat([gradient.flatten() for gradient in gradients])
    assert set(inner) == {torch.bfloat16}
    for exact, rounded in zip(found["exact"], found["rounded"], strict=True):
        assert rounded.dtype == torch.float32
        assert 0 < (rounded - exact).norm() / exact.norm() < 0.05, "bfloat16 has 8 significant bits"


@pytest.mark.parametrize("make", [zenke, convnet])
def test_bfloat16_with_generated_weights(make: Callable[[], nn.Module]) -> None:
    network = BFloat16(make()).eval()
    images = torch.rand(4, *SHAPE)
    logits = TargetNetwork(network).train(False)(weights_of(network), images)
    assert torch.equal(logits, network(images))


def test_in_float32_is_the_wrapped_network() -> None:
    network = zenke()
    assert in_float32(BFloat16(network)) is network is in_float32(network)
