"""Pictures of a fitted model, in the form of scikit-learn's Display classes."""

from skvae.display._history import HistoryDisplay
from skvae.display._latent_space import LatentSpaceDisplay
from skvae.display._manifold import ManifoldDisplay
from skvae.display._reconstruction import ReconstructionDisplay

__all__ = ["HistoryDisplay", "LatentSpaceDisplay", "ManifoldDisplay", "ReconstructionDisplay"]
