"""Names that a caller gives: which one was meant, where it is none of ours."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIASES = {
    # parameters
    "n_components": "latent_dim n_latent n_latents latent_size z_dim latent_space_dim encoding_dim",
    "image_shape": "input_shape img_size image_size",
    "hidden_layer_sizes": "hidden_dims hidden_sizes hidden_layers hidden_units n_hidden "
    "encoder_neuron_list",
    "activation": "activation_fn activation_function hidden_activation hidden_activation_name",
    "normalization": "batch_norm use_batch_norm norm norm_layer",
    "dropout": "dropout_rate p_dropout",
    "likelihood": "gene_likelihood distribution output_distribution reconstruction_loss",
    "posterior_family": "posterior",
    "objective": "loss loss_fn criterion",
    "beta": "kl_weight kl_coef kld_weight",
    "kl_warmup_epochs": "n_epochs_kl_warmup warmup warmup_epochs",
    "max_epochs": "epochs n_epochs num_epochs epoch_num max_iter n_iter",
    "batch_size": "minibatch_size per_device_train_batch_size",
    "learning_rate": "lr learning_rate_init",
    "learning_rate_schedule": "scheduler lr_scheduler scheduler_cls",
    "optimizer": "optimizer_name optimizer_cls solver",
    "weight_decay": "l2 l2_penalty",
    "gradient_clip": "clipnorm gradient_clip_val max_grad_norm",
    "validation_fraction": "validation_split validation_size val_size",
    "n_iter_no_change": "patience early_stopping_patience",
    "tol": "min_delta early_stopping_min_delta",
    "random_state": "seed random_seed",
    "device": "accelerator use_gpu gpu",
    "precision": "dtype",
    "condition": "batch_key labels_key categorical_covariate_keys covariates context",
    "n_importance_samples": "n_samples mc_samples",
    # likelihoods
    "bernoulli": "binary bce binary_crossentropy",
    "gaussian": "normal mse l2 squared_error",
    "laplace": "l1 mae absolute_error",
    "student_t": "t student",
    "negative_binomial": "nb",
    "zero_inflated_negative_binomial": "zinb",
    "categorical": "cross_entropy categorical_crossentropy softmax multinomial one_hot",
    # priors and posterior families
    "normal": "gaussian standard standard_normal",
    "mixture": "gmm mog gaussian_mixture",
    "vamp": "vampprior vamp_prior",
    "flow": "iaf maf nsf normalizing_flow",
    "diagonal": "normal gaussian mean_field",
    "full": "full_rank full_covariance cholesky",
    # objectives
    "elbo": "vae beta_vae kl",
    "beta_tcvae": "tcvae tc_vae btcvae",
    "infovae": "mmd mmd_vae wae",
    # networks and training
    "silu": "swish",
    "leaky_relu": "lrelu",
    "gated": "glu",
    "batch": "bn batchnorm",
    "layer": "ln layernorm",
    "residual": "resnet",
    "sgd": "momentum nesterov",
    "float32": "32 fp32 full",
    "bfloat16": "16 fp16 bf16 half float16 mixed",
}
"""What other libraries call the same: our name, and theirs. Of several the first allowed counts."""

ELSEWHERE = {
    "condition": "ConditionalVAE(vae, condition=...)",
    "contamination": "VAEOutlierDetector(vae, contamination=...)",
    "sample_posterior": "VAEImputer(vae, sample_posterior=...)",
}
"""Parameters of one estimator that are looked for in another."""


def synonym(given: str, names: Iterable[str]) -> str | None:
    """Return the first of the names that other libraries call so; of ``a__b`` it is b."""
    word = given.lower().replace("-", "_")
    for name in names:
        ours = name.rpartition("__")[2]
        if word == ours or word in ALIASES.get(ours, "").split():
            return name
    return None


def meant(given: str, names: Iterable[str]) -> str | None:
    """Return which of the names was meant: a synonym, or nearly the same letters."""
    names = list(names)
    near = difflib.get_close_matches(given.lower(), names, n=1)
    return synonym(given, names) or next(iter(near), None)


def did_you_mean(given: str, names: Iterable[str]) -> str:
    """Return the question as a sentence with a space before it, or nothing where none is near."""
    found = meant(given, names)
    return "" if found is None else f" Did you mean {found!r}?"


def no_parameter(owner: str, given: str, names: Iterable[str]) -> str:
    """Return the message for a parameter that an object of this class has not."""
    names = list(names)
    elsewhere = None if synonym(given, names) else synonym(given, ELSEWHERE)
    if elsewhere:
        cure = f" Did you mean {ELSEWHERE[elsewhere]}?"
    else:
        cure = did_you_mean(given, names) or f" It has {', '.join(names)}."
    return f"{owner} has no parameter {given!r}.{cure}"
