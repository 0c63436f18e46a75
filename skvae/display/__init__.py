"""Pictures of a fitted model, in the form of scikit-learn's Display classes."""

from skvae.display._components import ComponentDisplay
from skvae.display._history import HistoryDisplay
from skvae.display._interpolation import InterpolationDisplay
from skvae.display._latent_space import LatentSpaceDisplay
from skvae.display._manifold import ManifoldDisplay
from skvae.display._outliers import OutlierDisplay
from skvae.display._reconstruction import ReconstructionDisplay
from skvae.display._sample_grid import SampleGridDisplay
from skvae.display._traversal import TraversalDisplay

__all__ = [
    "ComponentDisplay",
    "HistoryDisplay",
    "InterpolationDisplay",
    "LatentSpaceDisplay",
    "ManifoldDisplay",
    "OutlierDisplay",
    "ReconstructionDisplay",
    "SampleGridDisplay",
    "TraversalDisplay",
]
