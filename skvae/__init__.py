"""skvae: the variational autoencoder that belongs in scikit-learn."""

from skvae._vae import VariationalAutoencoder
from skvae._version import __version__
from skvae.exceptions import PosteriorCollapseWarning
from skvae.persistence import load

__all__ = ["PosteriorCollapseWarning", "VariationalAutoencoder", "__version__", "load"]
