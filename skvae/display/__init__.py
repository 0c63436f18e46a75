"""Pictures of a fitted model, in the form of scikit-learn's Display classes."""

from skvae.display._decoded import ManifoldDisplay, TraversalDisplay
from skvae.display._fit import ComponentDisplay, HistoryDisplay
from skvae.display._latent_space import LatentSpaceDisplay
from skvae.display._rows import InterpolationDisplay, ReconstructionDisplay, SampleGridDisplay

__all__ = [
    "ComponentDisplay",
    "HistoryDisplay",
    "InterpolationDisplay",
    "LatentSpaceDisplay",
    "ManifoldDisplay",
    "ReconstructionDisplay",
    "SampleGridDisplay",
    "TraversalDisplay",
]
