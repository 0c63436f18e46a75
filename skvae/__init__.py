"""skvae: the variational autoencoder that belongs in scikit-learn."""

import importlib
from typing import Any

from skvae._classifier import VAEClassifier
from skvae._conditional import ConditionalVAE
from skvae._explore import explore
from skvae._imputer import VAEImputer
from skvae._outliers import VAEOutlierDetector
from skvae._vae import VariationalAutoencoder
from skvae._version import __version__
from skvae._world import data_parallel
from skvae.exceptions import PosteriorCollapseWarning, UndertrainedWarning
from skvae.persistence import load

__all__ = [
    "ConditionalVAE",
    "PosteriorCollapseWarning",
    "UndertrainedWarning",
    "VAEClassifier",
    "VAEImputer",
    "VAEOutlierDetector",
    "VariationalAutoencoder",
    "__version__",
    "data_parallel",
    "explore",
    "load",
]

_SUBMODULES = {
    "callbacks",
    "display",
    "distributions",
    "export",
    "likelihoods",
    "metrics",
    "objectives",
    "posteriors",
    "priors",
    "sampling",
    "sources",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})


def __getattr__(name: str) -> Any:
    """Import a submodule when it is first asked for, as scikit-learn does."""
    if name not in _SUBMODULES:
        raise AttributeError(f"module 'skvae' has no attribute {name!r}")
    return importlib.import_module(f"skvae.{name}")
