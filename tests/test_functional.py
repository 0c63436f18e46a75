"""Cheaper forms against torch's own: the same values, the same derivatives."""

import pytest
import torch
from torch.nn import functional as F

from skvae import distributions, functional, networks

# channels in, out; kernel; stride, padding, output padding; image
GEOMETRIES = [
    (6, 4, (3, 3), (2, 2), (1, 1), (1, 1), (3, 5)),
    (6, 4, (3, 3), (2, 2), (1, 1), (0, 1), (4, 3)),
    (9, 1, (3, 3), (1, 1), (1, 1), (0, 0), (4, 5)),  # one matrix product
    (32, 3, (3, 3), (1, 1), (1, 1), (0, 0), (1, 6)),  # the same
    (16, 1, (5, 3), (1, 1), (2, 1), (0, 0), (4, 5)),  # the same
    (16, 1, (3, 3), (1, 1), (0, 0), (0, 0), (4, 5)),
    (4, 3, (2, 2), (2, 2), (0, 0), (0, 0), (3, 3)),
]


def tensors(geometry, dtype, seed=0):
    n_in, n_out, kernel, *rest, image = geometry
    g = torch.Generator().manual_seed(seed)
    shapes = (2, n_in, *image), (n_in, n_out, *kernel), (n_out,)
    drawn = [torch.randn(shape, generator=g, dtype=torch.float64).to(dtype) for shape in shapes]
    return [t.requires_grad_() for t in drawn], rest


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_conv_transpose2d_is_torchs(geometry, channels_last, dtype):
    (x, weight, bias), rest = tensors(geometry, dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    image = x.contiguous(memory_format=layout)
    ours = functional.conv_transpose2d(image, weight, bias, *rest)
    theirs = F.conv_transpose2d(image, weight, bias, *rest)
    grad = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    tolerance = {"rtol": 0.05, "atol": 0.1} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(ours, theirs, check_stride=False, **tolerance)
    found = torch.autograd.grad(ours, (x, weight, bias), grad)
    expected = torch.autograd.grad(theirs, (x, weight, bias), grad)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, check_stride=False, **tolerance)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_conv_transpose2d_has_the_right_derivative(geometry):
    (x, weight, bias), rest = tensors(geometry, torch.float64)
    assert torch.autograd.gradcheck(
        lambda *t: functional.conv_transpose2d(*t, *rest), (x, weight, bias)
    )


def test_conv_transpose2d_takes_part_in_autocast():
    (x, weight, bias), rest = tensors(GEOMETRIES[0], torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out = functional.conv_transpose2d(x, weight, bias, *rest)
    assert out.dtype == torch.bfloat16
    grads = torch.autograd.grad(out.float().sum(), (x, weight, bias))
    assert [grad.dtype for grad in grads] == [torch.float32] * 3
    torch.testing.assert_close(
        grads[2], torch.full_like(bias, out[:, 0].numel()), rtol=1e-2, atol=0
    )


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("channels", [(1, 32), (3, 8), (32, 64)])
@pytest.mark.parametrize("stride", [1, 2])
def test_bfloat16_is_right_for_small_images_too(width, height, channels, stride):
    """torch's own kernels of stride 2 are not where an image is one pixel wide."""
    g = torch.Generator().manual_seed(0)
    few, many = channels
    for convolve, n_in, weight in (
        (lambda *t: functional.conv2d(*t, (stride,) * 2, (1, 1)), few, (many, few, 3, 3)),
        (
            lambda *t: functional.conv_transpose2d(*t, (stride,) * 2, (1, 1), (stride - 1,) * 2),
            many,
            (many, few, 3, 3),
        ),
    ):
        rows = torch.randn(22, height * width * n_in, generator=g)
        x = rows.unflatten(1, (height, width, n_in)).permute(0, 3, 1, 2).requires_grad_()
        w = torch.randn(weight, generator=g).requires_grad_()
        bias = torch.zeros(many if n_in == few else few)
        expected = convolve(x, w, bias)
        with torch.autocast("cpu", torch.bfloat16):
            found = convolve(x, w, bias).float()
        exact, close = (torch.autograd.grad(y.sum(), (x, w)) for y in (expected, found))
        for one, other in zip((found, *close), (expected, *exact), strict=True):
            tolerance = 0.05 * other.abs().max().item()
            torch.testing.assert_close(one, other, atol=tolerance, rtol=0, check_stride=False)


def test_only_what_is_asked_for_has_a_gradient():
    (x, weight, bias), rest = tensors(GEOMETRIES[0], torch.float64)
    out = functional.conv_transpose2d(x.detach(), weight, bias.detach(), *rest)
    (grad,) = torch.autograd.grad(out.sum(), weight)
    assert grad.shape == weight.shape


@pytest.mark.parametrize("family", [distributions.Bernoulli, distributions.ContinuousBernoulli])
def test_densities_of_the_unit_interval_have_the_right_derivative(family):
    g = torch.Generator().manual_seed(0)
    x = torch.rand(4, 3, generator=g, dtype=torch.float64).requires_grad_()
    logits = torch.randn(2, 1, 3, generator=g, dtype=torch.float64) * 3
    logits[0, 0, 0] = 0.01  # in the series of the continuous Bernoulli
    assert torch.autograd.gradcheck(
        lambda x, eta: family(eta).log_prob(x), (x, logits.requires_grad_())
    )


def test_gradients_of_another_type_than_the_argument_are_converted():
    """Rows of float64 under a float32 network."""
    x, logits = torch.rand(2, 3, dtype=torch.float64), torch.zeros(2, 3, requires_grad=True)
    distributions.Bernoulli(logits).log_prob(x).sum().backward()
    assert logits.grad.dtype == torch.float32
    torch.testing.assert_close(logits.grad, (x - 0.5).float())


def test_images_stay_channels_last_from_the_first_layer_to_the_last():
    """No layer between rows and rows copies its input to another layout."""
    hidden = networks.Hidden()
    body = networks.conv_decoder((9, 8, 3), (8, 4), 2, hidden)
    images = []
    for layer in body:
        layer.register_forward_hook(lambda module, inputs, out: images.append(out))
    body(torch.zeros(5, 2))
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in images if t.ndim == 4)
