"""Drawing rows otherwise than from the prior, and walking between them."""

from skvae.sampling._flow_density import FlowDensity
from skvae.sampling._interpolation import interpolate
from skvae.sampling._latent_density import LatentDensitySampler

__all__ = ["FlowDensity", "LatentDensitySampler", "interpolate"]
