"""Models that leave Python: ONNX graphs of a model's parts, alone or inside a Pipeline."""

from skvae.export._onnx import to_onnx
from skvae.export._skl2onnx import register_skl2onnx

__all__ = ["register_skl2onnx", "to_onnx"]
