"""The estimator: parameters and validation; numpy in, numpy out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import Tags, check_array, check_scalar
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skvae import _assemble, _model_card, _modelfile, _training, _validation
from skvae._inference import Inference
from skvae._training import Rows, Stream, TrainingPlan, VAENet
from skvae.exceptions import PosteriorCollapseWarning
from skvae.networks import ACTIVATIONS, CONV_BLOCKS, NORMALIZATIONS

ACTIVE_NATS = 0.05
"""A component is active when its mean KL over the training rows is above this; the noise of
the optimiser keeps an unused one at 0.01 to 0.03."""

SAMPLE_ROWS = 1000
"""Training rows that a prior may see when it is made."""


@contextmanager
def _unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Give the estimator back the attributes it had, should the block fail."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


class VariationalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Variational autoencoder (VAE).

    A latent-variable model with a neural network on each side: a prior p(z), a likelihood
    p(x|z) whose parameters a decoder computes from z, and an amortised posterior q(z|x)
    that an encoder computes from x. ``fit`` maximises the bound

    ``log p(x) ≥ elbo = E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))``,

    sums over features and components, means over rows, in nats per row. ``transform``
    returns the mean of q(z|x), ``inverse_transform`` the mean of p(x|z).

    Parameters
    ----------
    n_components : int, default=2
        Latent dimension.
    image_shape : tuple of int, default=None
        ``None``: rows are tables; the networks are dense. ``(height, width)`` or
        ``(height, width, channels)``: rows are images, ``X[i].reshape(image_shape)``;
        the networks are convolutional. One entry may be −1.
    hidden_layer_sizes : int or sequence of int, default=None
        Dense layers of the encoder; mirrored in the decoder of a table. For images, the
        dense layers between the convolutions and the latent. ``()``: none; the model of a
        table is then linear, as in factor analysis. ``None``: ``(32,)`` for tables of fewer
        than 1,000 rows, ``(256, 128)`` from there on, ``(128,)`` for images (measured; see
        the user guide). ``partial_fit`` counts the rows of its first call.
    conv_channels : sequence of int, default=(32, 64)
        Channels of one stride-2 convolution each, mirrored by transposed convolutions.
    conv_block : {"plain", "residual"}, default="plain"
        What follows each change of resolution: nothing, or a residual block of two
        convolutions (He et al. 2016, https://arxiv.org/abs/1603.05027).
    activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "softplus", "gated"}, \
            default="relu"
        Non-linearity of every hidden layer. ``"gated"``: each layer has twice the outputs,
        one half multiplied by the sigmoid of the other (Dauphin et al. 2017,
        https://arxiv.org/abs/1612.08083).
    normalization : {"batch", "layer"} or None, default=None
        Before every activation. ``"layer"`` normalises each row by itself, images over
        channels and pixels; ``"batch"`` by the batch, in inference by running statistics.
    dropout : float, default=0.0
        Fraction of every hidden layer's features that training sets to zero.
    encoder, decoder : torch.nn.Module, default=None
        Your own networks, as templates that ``fit`` copies: the encoder maps a batch
        (images as ``(n, C, H, W)``, tables as ``(n, n_features)``, as the likelihood's
        ``embed`` returns them: standardised, logarithms of counts, or one column for each
        category) to features ``(n, n_out)``; the decoder maps z
        ``(n, n_components)`` to features ``(n, n_out)``, or for images
        ``(n, channels, H, W)``. The layers from there to the parameters of q(z|x) and
        p(x|z) are added. Training starts from the weights of the template.
    likelihood : str or Likelihood, default="auto"
        p(x|z). ``"auto"``: Bernoulli when X holds only 0 and 1, ContinuousBernoulli when
        all values lie in [0, 1], else Gaussian; see ``likelihood_``. Images of uint8 in
        [0, 255] count as values in [0, 1]; see ``unit_``. ``"mixed"``: by the
        columns of a data frame, each by its dtype; see
        :class:`skvae.likelihoods.Mixed`. Or ``"bernoulli"``, ``"continuous_bernoulli"``,
        ``"gaussian"``, ``"student_t"``, ``"laplace"``, ``"poisson"``,
        ``"negative_binomial"``, ``"zero_inflated_negative_binomial"``,
        ``"categorical"``, or an object of :mod:`skvae.likelihoods`.
    prior : {"normal", "mixture", "vamp", "flow"} or Prior, default="normal"
        p(z); see :mod:`skvae.priors`.
    posterior_family : {"diagonal", "full", "flow"} or Posterior, default="diagonal"
        q(z|x); see :mod:`skvae.posteriors`. ``"flow"``, here and as prior, needs the extra
        ``flows``.
    objective : {"elbo", "iwae", "beta_tcvae", "infovae"} or Objective, default="elbo"
        What is maximised; see :mod:`skvae.objectives`. A name takes those of the next
        three parameters that it knows and that are not at their defaults. An object
        brings its own: the three must then stay at their defaults.
    beta : float, default=1.0
        Weight of the KL in the loss; never in the elbo. See
        :class:`skvae.objectives.ELBO` for this and the next two.
    kl_warmup_epochs : int, default=0
        Epochs over which that weight rises linearly to ``beta``.
    free_bits : float, default=0.0
        Nats per component below which the KL costs nothing.
    max_epochs : int or "auto", default="auto"
        Passes over X. ``"auto"``: as many as make 3,000 steps of the optimiser, beyond
        2,000 rows √(n_samples / 2,000) times that, and never more than 1,000 epochs: 1,000
        for 150 rows, 200 for 1,797, 36 for 60,000 (measured; see the user guide).
    batch_size : int, default=128
        Rows for each step of the optimiser.
    learning_rate : float, default=1e-3
        Step size of the optimiser.
    learning_rate_schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        ``"cosine"`` falls to 0 over ``max_epochs``; ``"one_cycle"`` rises from 1/25 to the
        full rate over the first 30 % and then falls to 0 (Smith and Topin 2019,
        https://arxiv.org/abs/1708.07120). Every call of ``fit`` is one course. Not used by
        ``partial_fit``.
    optimizer : {"adam", "adamw", "sgd", "rmsprop"}, default="adam"
        torch's optimisers; ``"sgd"`` with Nesterov momentum 0.9.
    weight_decay : float, default=0.0
        Decay of the networks' weights, not their biases: added to the gradient, or under
        ``"adamw"`` decoupled from it (Loshchilov and Hutter 2019,
        https://arxiv.org/abs/1711.05101).
    gradient_clip : float, default=None
        Largest norm of a step's gradient; a longer one is scaled down.
    early_stopping : bool, default=False
        Hold out ``validation_fraction`` of the rows, stop when their loss has not
        improved by ``tol`` for ``n_iter_no_change`` epochs, and restore the weights of
        the best epoch. The held-out loss has the full weight of the KL from the start, so
        with ``beta=1`` it is the negative held-out elbo. Not used by ``partial_fit``.
    validation_fraction : float, default=0.1
        Fraction of the rows that early stopping holds out.
    n_iter_no_change : int, default=10
        Epochs without improvement before early stopping stops.
    tol : float, default=1e-4
        Nats per row that count as an improvement.
    callbacks : list of skorch.callbacks.Callback, default=None
        Copied in every fit and appended to ours.
    warm_start : bool, default=False
        Continue from the last ``fit``: weights, optimiser and random streams.
    random_state : int, RandomState instance or None, default=None
        Decides initial weights, order of the rows, noise and held-out rows; an int makes
        results repeatable on a CPU. ``None`` takes fresh entropy. No global generator is
        used or changed.
    verbose : int, default=0
        1: a progress bar over the rows of all epochs, with the mean loss, reconstruction and
        KL of the epoch so far, rows a second and time left; a widget in notebooks. 2: a table
        with a line for each epoch. Above 0, ``transform``, ``sample`` and other calls that
        take longer than a second show a bar as well.
    device : str, default="auto"
        A torch device such as ``"cpu"`` or ``"cuda:1"``. ``"auto"``: CUDA when there is.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the networks in training. ``"bfloat16"``: autocast; z, the KL and the bound are
        still computed in float32. ``"auto"``: bfloat16 for our convolutions where the
        hardware has it (AMX or AVX512-BF16 on CPUs, CUDA from 8.0 on), else float32. What
        comes after training, ``transform`` to ``score``, is float32, or float64 for such rows.
    compile : bool, default=False
        Compile the networks with ``torch.compile``: slow to start, for long fits.

    Attributes
    ----------
    n_features_in_ : int
        Columns of X.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, when X had any.
    n_samples_ : int
        Rows of X in the last call of ``fit`` or ``partial_fit``, whatever their weight.
    categories_ : dict of list
        The categories of the columns of type category in the data frame of ``fit`` under
        ``likelihood="mixed"``; their codes, 0, 1, …, stand in rows that come out.
    n_iter_ : int
        Epochs run, all calls of ``partial_fit`` or warm-started ``fit`` together.
    history_ : list of dict
        One for each epoch: ``epoch``, ``train_loss``, ``train_reconstruction``,
        ``train_kl`` (means over rows, nats), ``valid_*`` where rows were held out, and
        ``dur`` in seconds.
    kl_per_component_ : ndarray of shape (n_components,)
        KL(q(z|x) ‖ p(z)) of each component, nats, mean over the training rows (those of
        the last call). Under a full or flow posterior or a learned prior, where it does not
        split into components: that of the marginals, taken as normal.
    active_components_ : ndarray of bool, shape (n_components,)
        Where that is above 0.05.
    unit_ : float
        255 where ``fit`` saw images of uint8 in [0, 255] under a likelihood of values in
        [0, 1]; else 1. Rows of uint8 are then read as ``X / unit_``, a batch at a time, and
        what the model returns, densities too, is in those units.
    likelihood_ : Likelihood
        What was chosen and fitted.
    encoder_, decoder_ : torch.nn.Module
        The networks with their heads.
    net_ : skorch.NeuralNet
        The trained net.

    Warns
    -----
    PosteriorCollapseWarning
        When no component is active after ``fit``.

    See Also
    --------
    sklearn.decomposition.PCA : The best linear reconstruction.
    sklearn.decomposition.FactorAnalysis : The same model with linear networks.

    References
    ----------
    .. [1] Kingma and Welling, "Auto-Encoding Variational Bayes", ICLR 2014,
       https://arxiv.org/abs/1312.6114
    .. [2] Rezende, Mohamed and Wierstra, "Stochastic Backpropagation and Approximate
       Inference in Deep Generative Models", ICML 2014, https://arxiv.org/abs/1401.4082

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import VariationalAutoencoder
    >>> X = load_digits().data / 16
    >>> vae = VariationalAutoencoder(n_components=2, max_epochs=5, random_state=0)
    >>> vae.fit_transform(X).shape
    (1797, 2)
    >>> vae.sample(3).shape, vae.inverse_transform([[0.0, 1.0]]).shape
    ((3, 64), (1, 64))
    >>> vae.score(X) < vae.score_samples(X, n_importance_samples=9).mean()  # both below log p(x)
    np.True_
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012 - scikit-learn's declaration
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "image_shape": ["array-like", None],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left"), None],
        "conv_channels": ["array-like"],
        "conv_block": [StrOptions(set(CONV_BLOCKS))],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "normalization": [StrOptions(set(NORMALIZATIONS)), None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "encoder": [nn.Module, None],
        "decoder": [nn.Module, None],
        "likelihood": [
            StrOptions(set(_assemble.LIKELIHOODS)),
            HasMethods(["initialize", "embed", "forward"]),
        ],
        "prior": [StrOptions(set(_assemble.PRIORS)), HasMethods(["initialize", "forward"])],
        "posterior_family": [
            StrOptions(set(_assemble.POSTERIORS)),
            HasMethods(["initialize", "forward"]),
        ],
        "objective": [StrOptions(set(_assemble.OBJECTIVES)), HasMethods(["__call__"])],
        "beta": [Interval(Real, 0, None, closed="left")],
        "kl_warmup_epochs": [Interval(Integral, 0, None, closed="left")],
        "free_bits": [Interval(Real, 0, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions(set(_training.SCHEDULES))],
        "optimizer": [StrOptions(set(_training.OPTIMIZERS))],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "gradient_clip": [Interval(Real, 0, None, closed="neither"), None],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "callbacks": [list, tuple, None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "device": [str],
        "precision": [StrOptions({"auto", "float32", "bfloat16"})],
        "compile": ["boolean"],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        image_shape: Sequence[int] | None = None,
        hidden_layer_sizes: int | Sequence[int] | None = None,
        conv_channels: Sequence[int] = (32, 64),
        conv_block: str = "plain",
        activation: str = "relu",
        normalization: str | None = None,
        dropout: float = 0.0,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        likelihood: Any = "auto",
        prior: Any = "normal",
        posterior_family: Any = "diagonal",
        objective: Any = "elbo",
        beta: float = 1.0,
        kl_warmup_epochs: int = 0,
        free_bits: float = 0.0,
        max_epochs: int | str = "auto",
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        learning_rate_schedule: str = "constant",
        optimizer: str = "adam",
        weight_decay: float = 0.0,
        gradient_clip: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        callbacks: Sequence[Any] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        device: str = "auto",
        precision: str = "auto",
        compile: bool = False,
    ) -> None:
        self.n_components = n_components
        self.image_shape = image_shape
        self.hidden_layer_sizes = hidden_layer_sizes
        self.conv_channels = conv_channels
        self.conv_block = conv_block
        self.activation = activation
        self.normalization = normalization
        self.dropout = dropout
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood
        self.prior = prior
        self.posterior_family = posterior_family
        self.objective = objective
        self.beta = beta
        self.kl_warmup_epochs = kl_warmup_epochs
        self.free_bits = free_bits
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.optimizer = optimizer
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.device = device
        self.precision = precision
        self.compile = compile

    # Fitting

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> VariationalAutoencoder:
        """Fit the model to X.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows. Floats, integers or booleans; sparse rows are made dense a batch at a
            time; a memmap is read a batch at a time.
        y : Ignored
            Present for scikit-learn's conventions.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative. A whole number n counts a row n times, exactly as if it were
            there n times; 0 leaves it out; fractions scale its loss.

        Returns
        -------
        self : VariationalAutoencoder
            Fitted. After Ctrl-C: the model as far as it got, with a warning.

        Raises
        ------
        ValueError, TypeError
            On parameters out of range, on X that is not a matrix of finite numbers, lies
            outside the likelihood's support or does not fit ``image_shape``, and when
            the loss stops being finite. The estimator is then as it was before.
        """
        return self._fit(X, sample_weight, self.warm_start and hasattr(self, "net_"))

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None
    ) -> VariationalAutoencoder:
        """Train for one epoch on X, continuing from where the model stands.

        The first call fixes what is learnt of the data as a whole: the likelihood under
        ``"auto"`` and the location and scale of the columns. No rows are held out.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's conventions.
        sample_weight : array-like of shape (n_samples,), default=None
            As in ``fit``.

        Returns
        -------
        self : VariationalAutoencoder
            Fitted.

        Raises
        ------
        ValueError, TypeError
            As ``fit``.
        """
        return self._fit(X, sample_weight, hasattr(self, "net_"), one_epoch=True)

    def _fit(
        self, X: Any, sample_weight: Any, continued: bool, one_epoch: bool = False
    ) -> VariationalAutoencoder:
        with _unchanged_on_error(self):
            if not continued:
                self.categories_ = _validation.category_levels(X, self.likelihood)
            checked = _validation.check_rows(self, X, not continued, self.categories_)
            weight = _validation.check_weight(sample_weight, checked)
            if not continued:
                self.unit_ = self._unit_of(checked)
            rows = _training.weighted_rows(self._as_rows(checked), weight)
            plan = self._plan(len(rows), continued, one_epoch)
            net = self._continued_net(rows, plan) if continued else self._new_net(X, rows, plan)
            _validation.check_support(rows, net.module_.likelihood_family)
            interrupted = _training.train(net, *_training.split(rows, plan))
            self._adopt(net, plan.seed, rows)
        if interrupted:
            warnings.warn(f"Training was interrupted after {self.n_iter_} epochs.", stacklevel=3)
        return self

    def _plan(self, n_rows: int, continued: bool, one_epoch: bool) -> TrainingPlan:
        """Resolve the parameters of training."""
        auto = _training.default_epochs(n_rows, self.batch_size)
        epochs = auto if isinstance(self.max_epochs, str) else self.max_epochs
        return TrainingPlan(
            objective=self._objective(),
            seed=self._seed if continued else _training.draw_seed(self.random_state),
            max_epochs=1 if one_epoch else epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            learning_rate_schedule="constant" if one_epoch else self.learning_rate_schedule,
            optimizer=self.optimizer,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
            early_stopping=self.early_stopping and not one_epoch,
            validation_fraction=self.validation_fraction,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            callbacks=list(self.callbacks or []),
            verbose=int(self.verbose),
            device=_training.resolve_device(self.device),
            precision=self.precision,
            compile=self.compile,
        )

    def _objective(self) -> Any:
        """Make the objective of its name, with the weights that are set, or copy the user's."""
        defaults = type(self)()
        names = ("beta", "kl_warmup_epochs", "free_bits")
        values = {name: getattr(self, name) for name in names}
        weights = {k: value for k, value in values.items() if value != getattr(defaults, k)}
        objective = _assemble.part(self.objective, _assemble.OBJECTIVES)
        known = objective.get_params() if isinstance(self.objective, str) else {}
        for name, value in weights.items():
            if name not in known:
                raise ValueError(
                    f"{name}={value!r} has no effect beside objective={self.objective!r}, which "
                    f"has weights of its own. Set objective__{name} of an object that has it, "
                    "or objective='elbo'."
                )
        return objective.set_params(**weights) if weights else objective

    def _structure(self, likelihood: Any, n_rows: int) -> dict[str, Any]:
        """Return the parameters that decide which state the model has, defaults filled in."""
        params = self.get_params(deep=False)
        if self.hidden_layer_sizes is None:
            params["hidden_layer_sizes"] = _assemble.default_layers(
                self.image_shape is not None, n_rows
            )
        architecture = _assemble.resolve(params | {"likelihood": likelihood}, self.n_features_in_)
        return {**vars(architecture), "optimizer": self.optimizer}

    def _resolved_likelihood(self, X: Any, rows: Rows) -> Any:
        names = getattr(self, "feature_names_in_", None)
        return _validation.resolve_likelihood(self.likelihood, X, rows, names)

    def _new_net(self, X: Any, rows: Rows, plan: TrainingPlan) -> VAENet:
        """Build a model for the rows, which X held."""
        structure = self._structure(self._resolved_likelihood(X, rows), len(rows))
        self._fitted_structure = {k: _assemble.snapshot(v) for k, v in structure.items()}
        self._fitted_dtype = rows.dtype.__name__
        loc, scale = _validation.column_moments(rows)
        return self._make_net(plan, [], loc, scale, rows.spread(SAMPLE_ROWS))

    def _continued_net(self, rows: Rows, plan: TrainingPlan) -> VAENet:
        """Copy the fitted model, so that a failure leaves it as it is."""
        fitted = self._fitted_structure
        left_open = _validation.is_left_open(self.likelihood)
        likelihood = fitted["likelihood"] if left_open else self._resolved_likelihood(None, rows)
        wanted = self._structure(likelihood, len(rows))
        if self.hidden_layer_sizes is None:
            wanted["hidden_layer_sizes"] = fitted["hidden_layer_sizes"]
        for name, value in wanted.items():
            if not _assemble.same(value, fitted[name]):
                raise ValueError(
                    f"{name}={value!r}, but the fitted model, which warm_start or partial_fit "
                    f"continues, has {name}={fitted[name]!r}. Set it back, or set "
                    "warm_start=False and call fit."
                )
        net = self._make_net(plan, self.history_)
        _training.load_arrays(net, _training.state_arrays(self.net_))
        return net

    def _make_net(self, plan: TrainingPlan, history: list[dict[str, Any]], *seen: Any) -> VAENet:
        """Build a net from what was seen of the data, or for a state that will be put in."""
        structure = dict(self._fitted_structure)
        del structure["optimizer"]
        zeros = torch.zeros(1, structure["n_features"]).double()
        loc, scale, x = seen or (zeros[0], torch.ones_like(zeros[0]), zeros)
        generator = _training.generator(plan.seed, Stream.INITIALIZATION)
        model = _assemble.build(_assemble.Architecture(**structure), loc, scale, x, generator)
        return _training.make_net(model, plan, history)

    def _adopt(self, net: VAENet, seed: int, rows: Rows) -> None:
        """Take over a trained net: the only place that sets fitted attributes."""
        self.net_ = net
        self.n_samples_ = int(rows.X.shape[0])
        self._seed = seed
        self.history_ = _training.plain_history(net)
        self.n_iter_ = len(self.history_)
        self.kl_per_component_ = self._inference(rows.dtype, "kl_per_component_").kl(rows)
        self.active_components_ = self.kl_per_component_ > ACTIVE_NATS
        if not self.active_components_.any():
            warnings.warn(
                f"No component is active: their KL is at most {self.kl_per_component_.max():.2g} "
                "nats, so that transform says nothing about X. Try kl_warmup_epochs=20, "
                "free_bits=0.1, a smaller beta, objective=InfoVAE() or "
                "ELBO(beta=CyclicalAnnealing()), or more epochs.",
                PosteriorCollapseWarning,
                stacklevel=4,
            )

    # Using the model

    def _inference(self, dtype: Any, title: str = "rows") -> Inference:
        """Return the model for rows of a type; the title is that of its progress bar."""
        shown = title if self.verbose else None
        return Inference(self.net_.module_, dtype, self.net_.device, shown)

    def _rows(self, X: Any) -> Rows:
        check_is_fitted(self)
        return self._as_rows(_validation.check_rows(self, X, False, self.categories_))

    def _as_rows(self, checked: Any) -> Rows:
        return Rows(checked, unit=self.unit_ if checked.dtype == np.uint8 else 1.0)

    def _unit_of(self, checked: Any) -> float:
        likelihood = _assemble.part(self.likelihood, _assemble.LIKELIHOODS)
        return _validation.unit_of(checked, likelihood, self.image_shape is not None)

    def transform(self, X: Any) -> np.ndarray:
        """Return the mean of q(z|x) for each row: the same for the same row, always.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            float32 for rows of float32, or of a type that float32 holds exactly (booleans,
            integers of 8 and 16 bits), else float64.

        Raises
        ------
        ValueError
            When X has another number of columns than in ``fit``, NaN or infinities.
        TypeError
            When X holds objects that are no numbers.
        NotFittedError
            Before ``fit``.
        """
        rows = self._rows(X)
        return self._inference(rows.dtype, "transform").transform(rows, self._n_features_out)

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of q(z|x) for each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        loc, scale : ndarray of shape (n_samples, n_components)
            Of the posterior.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            As ``transform``.
        """
        rows = self._rows(X)
        return self._inference(rows.dtype, "posterior").posterior(rows, self._n_features_out)

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Return the mean of p(x|z) for each z, in the units of X.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Points in the latent space.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            float32 for float32 points, else float64.

        Raises
        ------
        ValueError
            When Z has another number of columns than ``n_components``, NaN or infinities.
        TypeError
            When Z holds objects that are no numbers.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but the model has {self._n_features_out} components."
            )
        inference = self._inference(Z.dtype, "inverse_transform")
        return inference.decode(Rows(Z), self.n_features_in_)

    def reconstruct(self, X: Any) -> np.ndarray:
        """Return ``inverse_transform(transform(X))``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Reconstructions, in the units of X.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            As ``transform``.
        """
        rows = self._rows(X)
        inference = self._inference(rows.dtype, "reconstruct")
        Z = inference.transform(rows, self._n_features_out)
        return inference.decode(Rows(Z), self.n_features_in_)

    def sample(
        self,
        n_samples: int = 1,
        *,
        mean: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> np.ndarray:
        """Draw rows from the model: z from the prior, x from the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
            How many rows.
        mean : bool, default=False
            Return E[x|z] instead of a draw of x: what one shows for images.
        random_state : int, RandomState instance or None, default=None
            Decides the draws. ``None``: the estimator's ``random_state``; an int there
            gives the same rows in every call.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            In the units of X and of the type that ``transform`` gave in ``fit``.

        Raises
        ------
        ValueError, TypeError
            When ``n_samples`` is not a positive whole number.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", Integral, min_val=1)
        state = self.random_state if random_state is None else random_state
        seed = _training.draw_seed(state)
        generator = _training.generator(seed, Stream.SAMPLING, device=self.net_.device)
        inference = self._inference(self._fitted_dtype, "sample")
        return inference.sample(int(n_samples), self.n_features_in_, mean, generator)

    def score_samples(self, X: Any, *, n_importance_samples: int = 1) -> np.ndarray:
        """Return a lower bound on log p(x) for each row, in nats.

        The noise is fixed for each row, so results repeat and do not depend on the order
        of the rows or on their company; the errors of different rows are independent.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        n_importance_samples : int, default=1
            1: the elbo, its expectation over q(z|x) taken with eight balanced draws
            (eight decoder passes a row). More: the importance-weighted bound of that
            many draws (Burda, Grosse and Salakhutdinov 2016,
            https://arxiv.org/abs/1509.00519), which rises with their number towards
            log p(x); as many decoder passes a row.

        Returns
        -------
        bound : ndarray of shape (n_samples,)
            Nats per row, in the units of X: a density of real features, a probability of
            binary ones.

        Raises
        ------
        ValueError
            When X lies outside the likelihood's support, has another number of columns
            than in ``fit``, NaN or infinities, or when ``n_importance_samples`` is not
            positive.
        TypeError
            When ``n_importance_samples`` is not a whole number, or X holds objects that are
            no numbers.
        NotFittedError
            Before ``fit``.
        """
        rows = self._rows(X)
        check_scalar(n_importance_samples, "n_importance_samples", Integral, min_val=1)
        _validation.check_support(rows, self.likelihood_)
        inference = self._inference(rows.dtype, "score_samples")
        if n_importance_samples > 1:
            return inference.importance_weighted_bound(rows, int(n_importance_samples))
        reconstruction, kl = inference.terms(rows)
        return reconstruction - kl

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean elbo over the rows of X, in nats per row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Rows.
        y : Ignored
            Present for scikit-learn's conventions.

        Returns
        -------
        elbo : float
            Mean of ``score_samples(X)``. Higher is better.

        Raises
        ------
        ValueError, TypeError, NotFittedError
            As ``score_samples``.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))

    # Parts of the fitted model

    @property
    def likelihood_(self) -> Any:
        """The likelihood that was chosen, fitted."""
        return self.net_.module_.likelihood_family

    @property
    def encoder_(self) -> nn.Module:
        """The encoder with the heads of the posterior."""
        return self.net_.module_.encoder

    @property
    def decoder_(self) -> nn.Module:
        """The decoder with the head of the likelihood."""
        return self.net_.module_.decoder

    @property
    def _n_features_out(self) -> int:
        return self._fitted_structure["n_components"]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    # State

    _FITTED_STATE = (
        "n_features_in_",
        "feature_names_in_",
        "n_samples_",
        "categories_",
        "unit_",
        "history_",
        "n_iter_",
        "kl_per_component_",
        "active_components_",
        "_arrays",
        "_seed",
        "_fitted_structure",
        "_fitted_dtype",
        "_sklearn_output_config",
    )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one safetensors file, for :func:`skvae.load`.

        The file holds the parameters, weights, optimiser state, fitted attributes and
        library versions, as arrays and JSON; no pickle. It is written atomically.
        ``callbacks``, a ``random_state`` that is not an int, and objects of your own
        classes are not in it; ``load`` takes them as keywords. Metadata requests, which
        are a matter of the pipeline around the model, are not in it either.

        Parameters
        ----------
        path : path-like
            The file; replaced if it exists.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError, TypeError
            When a parameter was set out of its range after ``fit``: ``load`` would refuse
            the file.
        OSError
            When the file cannot be written.
        """
        check_is_fitted(self)
        self._validate_params()
        header = {"class": type(self).__name__, "versions": _model_card.library_versions()}
        names = {*self._parameter_constraints, *self._FITTED_STATE}
        state = {name: value for name, value in self.__getstate__().items() if name in names}
        _modelfile.write(path, header, state)

    def model_card(self, X: Any = None) -> str:
        """Return a description of the fitted model as Markdown, to travel beside its file.

        The data, the model, its parameters, scores and components, how to load it and the
        versions of the libraries; the same text for the same model. What only you know is
        left open: what it is for, where the rows come from. On Hugging Face the text goes
        into ``README.md`` (Mitchell et al. 2019, https://arxiv.org/abs/1810.03993).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), default=None
            Rows that the fit has not seen, to be scored: the mean of ``score_samples`` with
            its standard error goes into the card.

        Returns
        -------
        card : str
            Markdown.

        Raises
        ------
        ValueError, TypeError
            As ``score_samples``.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return _model_card.model_card(self, X)

    def __getstate__(self) -> dict[str, Any]:
        # No net: skorch hides a pickle inside bytes, and a net knows the device it was on.
        state = dict(super().__getstate__())
        net = state.pop("net_", None)
        if net is not None:
            state["_arrays"] = _training.state_arrays(net)
        # Parts as plain data: a reader such as skops then meets no class but this one.
        return {name: _modelfile.pack(value) for name, value in state.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = {name: _modelfile.unpack(v, _assemble.PARTS) for name, v in state.items()}
        arrays = state.pop("_arrays", None)
        super().__setstate__(state)
        if arrays is None:
            return
        plan = TrainingPlan(
            objective=_assemble.OBJECTIVES["elbo"](),
            seed=self._seed,
            max_epochs=1,
            optimizer=self._fitted_structure["optimizer"],
            device=_training.available_device(self.device),
        )
        self.net_ = self._make_net(plan, self.history_)
        _training.load_arrays(self.net_, arrays)
