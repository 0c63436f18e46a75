"""How the process runs while it trains, and that it is afterwards as before."""

import resource
import subprocess
import sys

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skvae import VariationalAutoencoder
from skvae._training import process

# In a process of its own: the heap of a test run has holes of any size.
FAULTS = """
import resource
import torch
from skvae._training import process

def faults():
    for _ in range(3):
        torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
with process.kept_heap():
    within = faults()
print(before, within, faults())
"""


@pytest.mark.skipif(process._glibc() is None, reason="the C library is not glibc")
def test_freed_memory_serves_the_next_step():
    """Page faults of twenty steps that each make and free 40 MB."""
    printed = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, check=True)
    before, within, afterwards = map(int, printed.stdout.split())
    assert within < before / 3
    assert within < afterwards / 3


def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def keeps_denormals():
    return bool(torch.full((100_000,), 1e-40).mul(1).all())


@pytest.mark.parametrize("was_flushed", [False, True])
def test_denormals_are_flushed_within_and_as_before_afterwards(was_flushed):
    torch.set_flush_denormal(was_flushed)
    try:
        with process.flushed_denormals():
            assert not keeps_denormals()
        assert keeps_denormals() is not was_flushed
    finally:
        torch.set_flush_denormal(False)


def test_an_epoch_takes_no_more_memory_the_longer_it_lasts():
    """Nothing of a step stays behind to keep its memory from the next."""
    X = np.random.default_rng(0).random((8000, 4000), dtype=np.float32)
    resident = []

    class Watch(Callback):
        def on_batch_end(self, net, **kwargs):
            resident.append(resident_bytes())

    VariationalAutoencoder(
        hidden_layer_sizes=(8,), batch_size=64, max_epochs=1, callbacks=[Watch()], random_state=0
    ).fit(X)
    assert len(resident) == 125
    assert resident[-1] - resident[12] < 20e6
