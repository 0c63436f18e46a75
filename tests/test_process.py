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
STEPS = """
import resource
import torch
from skvae._training import process

def step():
    return [torch.ones(n) for n in (25_000_000, 10_000_000)]

def faults():
    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

before, held = faults(), resident()
with process.kept_heap():
    within = faults()
print(before, within, resident() - held)
"""


@pytest.mark.skipif(process._glibc() is None, reason="the C library is not glibc")
def test_freed_memory_serves_the_next_step_and_is_given_back():
    """Page faults of five steps of 140 MB, before and within; pages that stay afterwards."""
    run = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, check=True)
    before, within, kept = map(int, run.stdout.split())
    assert within < before / 10
    assert kept * resource.getpagesize() < 20e6


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
