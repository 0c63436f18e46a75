"""The noise of scores: a function of each row, independent between rows."""

import numpy as np
import pytest
import torch

from skvae._data import hash_rows
from skvae._quadrature import N_PAIRS, balanced_noise, rotated_noise, sobol

X = np.random.RandomState(0).randn(3000, 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
class TestHash:
    def test_is_a_function_of_the_row(self, dtype):
        rows = X.astype(dtype)
        order = np.random.RandomState(1).permutation(len(rows))
        np.testing.assert_array_equal(hash_rows(rows)[order], hash_rows(rows[order]))
        np.testing.assert_array_equal(hash_rows(rows[:5]), hash_rows(rows)[:5])

    def test_tells_rows_apart(self, dtype):
        rows = X.astype(dtype)
        assert len(np.unique(hash_rows(rows))) == len(rows)
        grid = np.array(np.meshgrid(*[np.arange(8.0)] * 5)).reshape(5, -1).T.astype(dtype)
        assert len(np.unique(hash_rows(grid))) == len(grid)
        assert hash_rows(rows[:1]) != hash_rows(rows[:1, ::-1])

    def test_zeros_have_no_sign(self, dtype):
        np.testing.assert_array_equal(
            hash_rows(np.array([[0.0, 1.0]], dtype)), hash_rows(np.array([[-0.0, 1.0]], dtype))
        )

    def test_bits_are_fair(self, dtype):
        bits = (hash_rows(X.astype(dtype))[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(
            1
        )
        assert np.abs(bits.mean(0) - 0.5).max() < 0.05


@pytest.mark.parametrize("d", [1, 2, 9])
class TestNoise:
    def test_balanced_draws_have_exact_moments(self, d):
        noise = balanced_noise(hash_rows(X), d)
        assert noise.shape == (2 * N_PAIRS, len(X), d)
        torch.testing.assert_close(noise.mean(0), torch.zeros(len(X), d).double())
        torch.testing.assert_close(noise.square().mean(0), torch.ones(len(X), d).double())

    def test_draws_are_standard_normal_over_rows(self, d):
        noise = rotated_noise(hash_rows(X), sobol(4, d))
        for draw in noise.unbind():
            u = torch.special.ndtr(draw).sort(0).values
            steps = (torch.arange(len(X)) + 0.5) / len(X)
            # Kolmogorov's statistic; 1.95/√n is exceeded once in a thousand.
            assert (u - steps.unsqueeze(1)).abs().max() < 1.95 / np.sqrt(len(X))

    def test_rows_are_independent(self, d):
        noise = balanced_noise(hash_rows(X), d)[0]
        neighbours = (noise[1:] * noise[:-1]).mean(0)
        assert neighbours.abs().max() < 4.5 / np.sqrt(len(X))

    def test_global_generator_is_untouched(self, d):
        before = torch.get_rng_state()
        balanced_noise(hash_rows(X[:5]), d)
        assert torch.equal(before, torch.get_rng_state())
