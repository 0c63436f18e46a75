"""Other ways to draw rows than from the prior, and paths between rows."""

from skvae.sampling._flow_density import FlowDensity
from skvae.sampling._interpolation import interpolate
from skvae.sampling._latent_density import LatentDensitySampler

__all__ = ["FlowDensity", "LatentDensitySampler", "interpolate"]
