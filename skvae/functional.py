"""Operations that are mathematically the same as torch's own, but cheaper or safer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["conv2d", "conv_transpose2d", "elementwise"]


class _Elementwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Any, derivatives: Any, *args: Tensor) -> Tensor:
        ctx.derivatives = derivatives
        ctx.save_for_backward(*args)
        return function(*args)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        args = ctx.saved_tensors
        needed = ctx.needs_input_grad[2:]
        return (
            None,
            None,
            *(
                (derivative(*args) * grad).to(arg.dtype).sum_to_size(arg.shape) if needs else None
                for arg, derivative, needs in zip(args, ctx.derivatives, needed, strict=True)
            ),
        )


def elementwise(
    *derivatives: Callable[..., Tensor],
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Decorate an elementwise function of tensors with its derivatives.

    The function is then a single node of the autograd graph, instead of one node for each
    operation. This saves passes over memory if the derivative is simpler than the chain of the
    single operations. The arguments may broadcast.

    Parameters
    ----------
    *derivatives : callable
        One function for each argument. Each takes all arguments.

    Returns
    -------
    decorate : callable
        A decorator, which returns the function with these derivatives.

    Examples
    --------
    >>> import torch
    >>> from skvae.functional import elementwise
    >>> @elementwise(lambda x: 2 * x)
    ... def square(x):
    ...     return x * x
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> torch.autograd.grad(square(x), x)
    (tensor([6.]),)
    """

    def decorate(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return wraps(function)(partial(_Elementwise.apply, function, derivatives))

    return decorate


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
) -> Tensor:
    """Compute ``torch.nn.functional.conv_transpose2d`` with a cheaper gradient of the bias.

    The gradient of the bias is a sum over rows and pixels. On CPUs, torch needs several times
    longer for it than for the gradients of input and weight together. Convolutions with few output
    channels, which do not use the matrix units of a processor well, are computed as one matrix
    product.

    Parameters
    ----------
    x : Tensor of shape (n, n_in, height, width)
    weight : Tensor of shape (n_in, n_out, kernel_height, kernel_width)
    bias : Tensor of shape (n_out,)
    stride, padding, output_padding : sequence of 2 int
        As in torch.

    Returns
    -------
    images : Tensor of shape (n, n_out, new_height, new_width)
        The result, with the sizes that torch documents.

    Examples
    --------
    >>> import torch
    >>> from skvae.functional import conv_transpose2d
    >>> x, weight, bias = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3), torch.zeros(1)
    >>> conv_transpose2d(x, weight, bias, (2, 2), (1, 1), (1, 1)).shape
    torch.Size([1, 1, 4, 4])
    """
    x, weight = _autocast(x, weight, width=x.shape[-1])
    with torch.autocast(x.device.type, enabled=False):
        return _ConvTranspose2d.apply(x, weight, bias, stride, padding, output_padding)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor, stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """Compute ``torch.nn.functional.conv2d``, in float32 where bfloat16 gives wrong results.

    Parameters
    ----------
    x : Tensor of shape (n, n_in, height, width)
    weight : Tensor of shape (n_out, n_in, kernel_height, kernel_width)
    bias : Tensor of shape (n_out,)
    stride, padding : sequence of 2 int
        As in torch.

    Returns
    -------
    images : Tensor of shape (n, n_out, new_height, new_width)
        The result, with the sizes that torch documents.

    Examples
    --------
    >>> import torch
    >>> from skvae.functional import conv2d
    >>> x, weight, bias = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 3, 3), torch.zeros(1)
    >>> conv2d(x, weight, bias, (2, 2), (1, 1))
    tensor([[[[4., 6.],
              [6., 9.]]]])
    """
    width = (x.shape[-1] + 2 * padding[1] - weight.shape[-1]) // stride[1] + 1
    x, weight = _autocast(x, weight, width)
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x, weight, bias.to(x.dtype), stride, padding)


def _autocast(x: Tensor, weight: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Cast input and weight as autocast does, unless the smaller image is one pixel wide.

    There the bfloat16 kernels of stride 2 (oneDNN on AMX, torch 2.13) read beyond the image, and
    values and gradients are wrong or not finite.
    """
    device = x.device.type
    casts = torch.is_autocast_enabled(device) and width > 1
    dtype = torch.get_autocast_dtype(device) if casts else weight.dtype
    return x.to(dtype), weight.to(dtype)


class _ConvTranspose2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, *geometry: Any) -> Tensor:
        ctx.geometry, ctx.bias_dtype = geometry, bias.dtype
        ctx.save_for_backward(x, weight)
        if _is_narrow(x, weight, *geometry):
            return _by_matrix_product(x, weight, bias)
        return F.conv_transpose2d(x, weight, bias.to(x.dtype), *geometry)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, output_padding = ctx.geometry
        needs_x, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            grad,
            x,
            weight,
            None,
            stride,
            padding,
            dilation=[1, 1],
            transposed=True,
            output_padding=output_padding,
            groups=1,
            output_mask=[needs_x, needs_weight, False],
        )
        of_bias = grad.sum((0, 2, 3)).to(ctx.bias_dtype) if needs_bias else None
        return of_x, of_weight, of_bias, None, None, None


def _is_narrow(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
) -> bool:
    """Whether all taps of all outputs together are fewer than the input channels."""
    n_in, n_out, height, width = weight.shape
    keeps_size = tuple(stride) == (1, 1) and tuple(output_padding) == (0, 0)
    centred = tuple(padding) == (height // 2, width // 2) and height % 2 == width % 2 == 1
    return x.dtype == torch.float32 and keeps_size and centred and n_out * height * width <= n_in


def _by_matrix_product(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Every pixel's contribution to its neighbourhood by one product, then 9 shifted sums."""
    n, n_in, height, width = x.shape
    _, n_out, taps_y, taps_x = weight.shape
    taps = weight.permute(0, 2, 3, 1).reshape(n_in, -1)
    spread = (x.permute(0, 2, 3, 1) @ taps).unflatten(-1, (taps_y, taps_x, n_out))
    out = bias.expand(n, height + taps_y - 1, width + taps_x - 1, n_out).contiguous()
    for i in range(taps_y):
        for j in range(taps_x):
            out[:, i : i + height, j : j + width] += spread[:, :, :, i, j]
    top, left = taps_y // 2, taps_x // 2
    return out[:, top : top + height, left : left + width].permute(0, 3, 1, 2)
