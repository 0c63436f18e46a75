"""How the process runs while it trains, and that it is afterwards as before."""

import resource

import pytest
import torch

from skvae._training import process


def faults_of_steps():
    """Page faults of twenty steps that each make and free 40 MB."""
    for _ in range(3):
        torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(process._glibc() is None, reason="the C library is not glibc")
def test_freed_memory_serves_the_next_step():
    before = resident_bytes()
    with process.kept_heap():
        assert faults_of_steps() < 1000  # 20 · 9,766 pages
    assert resident_bytes() - before < 20_000_000


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
