"""The model card: what a fitted model is, as Markdown in the style of Hugging Face.

See Mitchell et al. 2019, "Model Cards for Model Reporting"
(https://arxiv.org/abs/1810.03993). All of it comes from an estimator's public face.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sklearn
import skorch
import torch

from skvae import _state
from skvae._version import __version__
from skvae.likelihoods import Bernoulli

SHOWN = 20
"""Columns, categories and components that are listed one by one."""
LONGEST = 300
"""Characters of a value in a table."""


def library_versions() -> dict[str, str]:
    """Return the versions of what a model is made with, by name."""
    versions = {module.__name__: str(module.__version__) for module in (np, sklearn, skorch)}
    return versions | {
        "skvae": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def model_card(estimator: Any, X: Any = None) -> str:
    """Return the card of a fitted estimator; see its method of this name."""
    sections = [
        _front_matter(estimator),
        f"# {type(estimator).__name__}\n\n{_summary(estimator)}",
        f"## Data of the fit\n\n{_data(estimator)}",
        f"## Model\n\n{_model(estimator)}",
        f"## Fit\n\n{_fit(estimator, X)}",
        f"## Components\n\n{_components(estimator)}",
        f"## Parameters\n\n{_parameters(estimator)}",
        f"## How to load\n\n{_loading(estimator)}",
        f"## Versions\n\n{_versions()}",
        _USES,
    ]
    return "\n\n".join(sections) + "\n"


_USES = """## Intended use

[More information needed: what the model is for, and what it is not for.]

## Training data

[More information needed: where the rows come from, who is in them, and their licence.]

## Limits

- Scores are lower bounds. They compare models of the same rows in the same units; they do not
  tell by themselves whether a row is unusual, and rows unlike those of the fit may score high.
- Reconstructions are means of the likelihood, smoother than rows are.
- What the model learned it learned from the rows of the fit, with whatever is missing or
  unfair in them; draws may come close to single rows.

[More information needed: limits that are known from use.]"""


def _front_matter(estimator: Any) -> str:
    kind = "tabular" if estimator.image_shape is None else "images"
    tags = ["skvae", "sklearn", "variational-autoencoder", kind]
    lines = ["---", "library_name: skvae", "tags:", *(f"- {tag}" for tag in tags), "---"]
    return "\n".join(lines)


def _summary(estimator: Any) -> str:
    return (
        f"A variational autoencoder with {len(estimator.kl_per_component_)} latent components, "
        f"fitted to {estimator.n_samples_:,} rows of {estimator.n_features_in_:,} columns. "
        "`transform` returns the mean of q(z|x) for each row, `inverse_transform` the "
        "mean of p(x|z) in the units of X, `sample` draws rows, and "
        "`score_samples` bounds log p(x) from below, in nats per row."
    )


def _data(estimator: Any) -> str:
    rows: list[tuple[str, str]] = [
        ("rows", f"{estimator.n_samples_:,}"),
        ("columns", f"{estimator.n_features_in_:,}"),
    ]
    if estimator.image_shape is not None:
        rows.append(("image shape", _code(str(tuple(estimator.image_shape)))))
    if hasattr(estimator, "feature_names_in_"):
        rows.append(("names", _listed(estimator.feature_names_in_)))
    rows += [
        (f"categories of {_code(str(name))}", _listed(levels))
        for name, levels in estimator.categories_.items()
    ]
    if estimator.unit_ != 1:
        rows.append(("unit", f"bytes, read as X / {estimator.unit_:g}"))
    return _table(("", "what `fit` saw"), rows)


def _model(estimator: Any) -> str:
    module = estimator.net_.module_
    n_weights = sum(parameter.numel() for parameter in module.parameters())
    rows = [
        ("prior p(z)", _code(type(module.prior).__name__)),
        ("posterior q(z\\|x)", _code(type(estimator.encoder_.head).__name__)),
        *_likelihoods(estimator),
        ("weights", f"{n_weights:,}"),
        ("epochs", f"{estimator.n_iter_:,}"),
    ]
    return f"{_table(('', 'of this model'), rows)}\n\n{_meaning(estimator.likelihood_)}"


def _likelihoods(estimator: Any) -> list[tuple[str, str]]:
    """Return the likelihood, or that of each block with its columns."""
    likelihood, title = estimator.likelihood_, "likelihood p(x\\|z)"
    if not hasattr(likelihood, "blocks_"):
        return [(title, _code(_text(likelihood)))]
    names = getattr(estimator, "feature_names_in_", range(estimator.n_features_in_))
    return [
        (f"{title} of {_listed([names[index] for index in indices])}", _code(_text(block)))
        for indices, block in likelihood.blocks_
    ]


def _meaning(likelihood: Any) -> str:
    """Say what a score is of: densities depend on units, probabilities do not."""
    blocks = [part for _, part in getattr(likelihood, "blocks_", [(None, likelihood)])]
    discrete = {_is_discrete(part) for part in blocks}
    if discrete == {True}:
        return "Scores bound logarithms of probabilities: they are at most 0."
    unit = "Densities are in the units of X: scores may be positive, and change with the units."
    if discrete == {False}:
        return f"Scores bound logarithms of densities. {unit}"
    return (
        "Scores bound logarithms of densities of the real columns times probabilities of the "
        f"discrete ones. {unit}"
    )


def _is_discrete(likelihood: Any) -> bool:
    # Bernoulli takes grey values too, so that its support is an interval.
    return isinstance(likelihood, Bernoulli) or bool(
        getattr(likelihood.support, "is_discrete", False)
    )


def _fit(estimator: Any, X: Any) -> str:
    epoch = estimator.history_[estimator.best_epoch_ - 1]
    rows = [_bound("training rows", epoch, "train")]
    if "valid_loss" in epoch:
        rows.append(_bound("held-out rows", epoch, "valid"))
    if X is not None:
        scores = np.asarray(estimator.score_samples(X), np.float64)
        error = scores.std(ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.nan
        mean = f"{scores.mean():.4g} ± {error:.2g}"
        rows.append((f"{len(scores):,} rows given to `model_card`", mean, "", ""))
    table = _table(("nats per row", "elbo", "reconstruction", "kl"), rows)
    return (
        f"{table}\n\nThe bound, elbo = reconstruction − kl, is at most log p(x). Means over the "
        f"rows in epoch {epoch['epoch']} of {estimator.n_iter_}, whose weights the model has, "
        "taken while they were learned; ± is a standard error."
    )


def _bound(name: str, epoch: dict[str, Any], prefix: str) -> tuple[str, str, str, str]:
    reconstruction, kl = epoch[f"{prefix}_reconstruction"], epoch[f"{prefix}_kl"]
    return name, f"{reconstruction - kl:.4g}", f"{reconstruction:.4g}", f"{kl:.4g}"


def _components(estimator: Any) -> str:
    active, kl = estimator.active_components_, estimator.kl_per_component_
    told = f"{active.sum()} of {len(kl)} are active: these say something about a row."
    order = np.argsort(-kl, kind="stable")[:SHOWN]
    rows = [(str(i), f"{kl[i]:.3g}", "yes" if active[i] else "no") for i in order]
    more = "" if len(kl) <= SHOWN else f"\n\nThe {SHOWN} with the largest kl are shown."
    return f"{told}\n\n{_table(('component', 'kl, nats per row', 'active'), rows)}{more}"


def _parameters(estimator: Any) -> str:
    params = estimator.get_params(deep=False)
    defaults = type(estimator)().get_params(deep=False)
    texts = {name: _text(value) for name, value in params.items()}
    plain = {name: _text(value) for name, value in defaults.items()}
    changed = {name for name in params if texts[name] != plain[name]}
    rows = [
        (
            f"**`{name}`**" if name in changed else f"`{name}`",
            _code(texts[name]),
            _code(plain[name]),
        )
        for name in sorted(params, key=lambda name: (name not in changed, name))
    ]
    told = (
        "All are at their defaults." if not changed else "Those in bold are not at their defaults."
    )
    return f"{told}\n\n{_table(('parameter', 'value', 'default'), rows)}"


def _loading(estimator: Any) -> str:
    own = [name for name, value in estimator.get_params(deep=False).items() if _is_own(name, value)]
    given = "".join(f", {name}={name}" for name in own)
    code = [
        f'# pip install "skvae=={__version__}"',
        "import skvae",
        "",
        '# written by vae.save("model.safetensors"); arrays and JSON, nothing in it is executed',
        f'vae = skvae.load("model.safetensors"{given})',
        "Z = vae.transform(X)",
    ]
    fenced = "\n".join(["```python", *code, "```"])
    if not own:
        return fenced
    return f"{fenced}\n\nThe file does not hold {', '.join(f'`{n}`' for n in own)}: pass your own."


def _is_own(name: str, value: Any) -> bool:
    """Whether this is a network or part of a class that a file does not hold."""
    is_part = hasattr(value, "forward") or (name == "objective" and callable(value))
    return is_part and type(value) is not _state.PARTS.get(type(value).__name__)


def _versions() -> str:
    table = _table(("library", "version"), library_versions().items())
    return f"Those that this card was written with.\n\n{table}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _text(value: Any) -> str:
    """Return what a value shows, without places in memory."""
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(value))


def _code(text: str) -> str:
    """Return text as code in a cell of a table, whatever characters are in it."""
    text = " ".join(text.split()) or " "
    text = text if len(text) <= LONGEST else text[:LONGEST] + " …"
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _listed(values: Any) -> str:
    shown = ", ".join(_code(str(value)) for value in list(values)[:SHOWN])
    more = len(values) - SHOWN
    return shown if more <= 0 else f"{shown} and {more:,} more"
