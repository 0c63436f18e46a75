"""No fit and no file imports torch's compiler; what is used in its place does the same."""

import subprocess
import sys

import pytest
import torch
from numpy.testing import assert_array_equal

from skvae import _uncompiled
from skvae._allotment import _outline, _shape
from skvae._training.net import OPTIMIZERS

# In a process of its own: in this one torch may have it already.
USES = """
import sys
import numpy as np
import skvae
from skvae import VAEOutlierDetector, VariationalAutoencoder

X = np.random.RandomState(0).rand(150, 64)
table = VariationalAutoencoder(max_steps=120, random_state=0)  # enough steps to be replayed
images = VariationalAutoencoder(image_shape=(8, 8), max_steps=2, optimizer="adamw", random_state=0)
for model in (table, images, VAEOutlierDetector(table, n_estimators=1)):
    model.fit(X).save(sys.argv[1])
    skvae.load(sys.argv[1]).fit(X).score_samples(X)
table.partial_fit(X).sample(3)
print("torch._dynamo" in sys.modules)
"""


def test_fits_and_files_do_not_import_the_compiler(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", USES, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_are_torchs(name):
    make = OPTIMIZERS[name]
    ours = getattr(make, "func", make)
    theirs = getattr(torch.optim, ours.__name__)
    assert ours is getattr(_uncompiled, ours.__name__)
    assert issubclass(ours, theirs)
    params = getattr(make, "keywords", {}) | {"lr": 1e-2, "weight_decay": 0.1}
    start, *gradients = torch.randn((6, 40, 7), generator=torch.Generator().manual_seed(0))
    found = []
    for kind in (ours, theirs):
        parameter = torch.nn.Parameter(start.clone())
        optimizer = kind([{"params": [parameter]}], **params)
        for gradient in gradients:
            optimizer.zero_grad()
            assert parameter.grad is None
            parameter.grad = gradient.clone()
            optimizer.step()
        again = kind([{"params": [parameter]}], **params)
        again.load_state_dict(optimizer.state_dict())
        parameter.grad = gradients[0].clone()
        again.step()
        assert parameter.requires_grad
        found.append((parameter.detach(), again.state_dict()))
    (one, its), (other, others) = found
    assert_array_equal(one, other)
    assert its["param_groups"] == others["param_groups"]
    for slot, value in others["state"][0].items():
        assert_array_equal(its["state"][0][slot], value)


OPERATIONS = {
    "a layer": (torch.ops.aten.addmm.default, (torch.ones(3), torch.ones(5, 4), torch.ones(4, 3))),
    "side by side": (torch.ops.aten.cat.default, ([torch.ones(5, n) for n in (1, 2, 3)], -1)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_outlines_are_what_torch_returns(name):
    function, args = OPERATIONS[name]
    assert _shape(function, args) is not None
    outline, made = _outline(function, args, {}), function(*args)
    assert outline.is_meta
    assert (outline.shape, outline.dtype) == (made.shape, made.dtype)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (torch.ops.aten.addmm.default, (torch.ones(3), torch.ones(5, 4), torch.ones(2, 3))),
        (torch.ops.aten.cat.default, ([torch.ones(5, 1), torch.ones(4, 1)], -1)),
    ],
    ids=OPERATIONS,
)
def test_what_torch_refuses_has_no_outline(function, args):
    assert _outline(function, args, {}) is None
