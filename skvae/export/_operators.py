"""Operators of torch that ONNX has not, and that torch does not translate, or not well."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from numpy.polynomial.chebyshev import chebinterpolate

SHIFT = 8
"""From here on five terms of Stirling's series have an error below 1e-12."""

STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
"""Coefficients of ``x⁻¹, x⁻³, …`` in ``log Γ(x) − (x − ½)·log x + x − ½·log 2π``; see 5.11.1 of
the NIST Digital Library of Mathematical Functions, https://dlmf.nist.gov/5.11."""


ERFCX_DEGREE = 11
"""Of the polynomial behind ``erfcx``, whose relative error is then below 1e-7. Of further
coefficients, which are smaller, torch takes one for another: it merges constants that are close."""


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return for operators of torch what they become, for ``torch.onnx.export``."""
    from onnx import TensorProto
    from onnxscript import opset18

    op: Any = opset18

    def lgamma(x: Any) -> Any:
        """Write ``log Γ(x)`` for positive x, in float64: ``log Γ(x + 8) − log(x ⋯ (x + 7))``."""
        wide = op.Cast(x, to=TensorProto.DOUBLE)
        is_small = op.Less(wide, _double(op, SHIFT))
        small = op.Min(wide, _double(op, SHIFT))
        product = small
        for i in range(1, SHIFT):
            product = op.Mul(product, op.Add(small, _double(op, i)))
        far = op.Where(is_small, op.Add(wide, _double(op, SHIFT)), wide)
        inverse = op.Reciprocal(far)
        square = op.Mul(inverse, inverse)
        series = _double(op, STIRLING[-1])
        for coefficient in STIRLING[-2::-1]:
            series = op.Add(op.Mul(series, square), _double(op, coefficient))
        main = op.Mul(op.Sub(far, _double(op, 0.5)), op.Log(far))
        rest = op.Sub(_double(op, math.log(2 * math.pi) / 2), far)
        total = op.Add(op.Add(main, rest), op.Mul(series, inverse))
        shifted = op.Sub(total, op.Log(product))
        return op.CastLike(op.Where(is_small, shifted, total), x)

    def log_sigmoid(x: Any) -> Any:
        """Write ``min(x, 0) − log(1 + e^−|x|)``: torch's log(sigmoid(x)) is −∞ far below 0."""
        zero, one = (op.CastLike(_double(op, value), x) for value in (0, 1))
        return op.Sub(op.Min(x, zero), op.Log(op.Add(one, op.Exp(op.Neg(op.Abs(x))))))

    def erfcx(x: Any) -> Any:
        """Write ``exp(x²)·erfc(x)``, in float64; as torch's product it is ∞·0 far above 0.

        For |x| by a Chebyshev series of its logarithm in ``t = 2 / (2 + |x|)``; of a negative x
        it is ``2·exp(x²)`` less that.
        """
        wide = op.Cast(x, to=TensorProto.DOUBLE)
        two = _double(op, 2)
        t = op.Div(two, op.Add(two, op.Abs(wide)))
        twice = op.Sub(op.Mul(_double(op, 4), t), two)
        constant, *others = _erfcx_series()
        last, before = _double(op, 0), _double(op, 0)
        for coefficient in others[::-1]:  # Clenshaw's recurrence
            step = op.Sub(op.Mul(twice, last), before)
            last, before = op.Add(step, _double(op, coefficient)), last
        half = op.Mul(twice, _double(op, 0.5))
        series = op.Add(op.Sub(op.Mul(half, last), before), _double(op, constant))
        above = op.Mul(t, op.Exp(series))
        below = op.Sub(op.Mul(two, op.Exp(op.Mul(wide, wide))), above)
        return op.CastLike(op.Where(op.Less(wide, _double(op, 0)), below, above), x)

    def scalar_tensor(
        s: Any, dtype: int = 1, layout: str = "", device: str = "", pin_memory: bool = False
    ) -> Any:
        """Write a number; torch's own takes it through float32, where the largest are infinite."""
        return op.Cast(_double(op, s) if isinstance(s, int | float) else s, to=dtype)

    def pick(x: Any, index: int, axis: int) -> Any:
        """Write one row or column of matrices, as a matrix."""
        return op.Gather(x, op.Constant(value_ints=[index]), axis=axis)

    def linalg_cholesky_ex(
        A: Any,
        upper: bool = False,
        check_errors: bool = False,
    ) -> Any:
        """Write the lower triangular root of positive definite matrices, a column at a time."""
        n, n_axes = A.shape[-1], len(A.shape)
        turned = [*range(n_axes - 2), n_axes - 1, n_axes - 2]
        columns = []
        for i in range(n):
            left = pick(A, i, -1)  # but for rounding 0 above the diagonal
            column = op.Div(left, op.Sqrt(pick(left, i, -2)))
            columns.append(column)
            if i < n - 1:
                A = op.Sub(A, op.MatMul(column, op.Transpose(column, perm=turned)))
        return op.Concat(*columns, axis=-1), op.Constant(value_ints=[0])

    def linalg_solve_triangular(
        A: Any,
        B: Any,
        upper: bool = False,
        left: bool = True,
        unitriangular: bool = False,
    ) -> Any:
        """Write the solution X of ``A · X = B`` for a lower triangular A, a row at a time."""
        rows = []
        for i in range(A.shape[-1]):
            row = pick(B, i, -2)
            if not unitriangular:
                row = op.Div(row, pick(pick(A, i, -1), i, -2))
            rows.append(row)
            B = op.Sub(B, op.MatMul(pick(A, i, -1), row))
        return op.Concat(*rows, axis=-2)

    return {
        torch.ops.aten.lgamma.default: lgamma,
        torch.ops.aten.log_sigmoid.default: log_sigmoid,
        torch.ops.aten.special_erfcx.default: erfcx,
        torch.ops.aten.scalar_tensor.default: scalar_tensor,
        torch.ops.aten.linalg_cholesky_ex.default: linalg_cholesky_ex,
        torch.ops.aten.linalg_solve_triangular.default: linalg_solve_triangular,
    }


@cache
def _erfcx_series() -> list[float]:
    """Return the Chebyshev coefficients of ``log(erfcx(x) / t)`` for t from 0 to 1."""

    def function(y: Any) -> Any:
        t = torch.from_numpy((y + 1) / 2)
        return (torch.special.erfcx(2 / t - 2) / t).log().numpy()

    return chebinterpolate(function, ERFCX_DEGREE).tolist()


def _double(op: Any, value: float) -> Any:
    """Return a constant of float64: others would be rounded to float32."""
    import onnx

    return op.Constant(value=onnx.helper.make_tensor("", onnx.TensorProto.DOUBLE, [], [value]))
