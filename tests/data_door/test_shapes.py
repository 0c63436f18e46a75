"""Images and volumes: what a message says to pass is a matrix, and holds the same pictures."""

import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from tests.data_door.stand_ins import learn, read

RNG = np.random.RandomState(0)


def cures(error):
    """Return the expressions and image shapes that a message names."""
    text = str(error.value)
    expressions = re.findall(r"(X(?:\.\w+\([\w(), -]*?\))*\.reshape\(.*?, -1\))", text)
    shapes = [eval(shape) for shape in re.findall(r"image_shape=(\([\d, ]*\)|None)", text)]
    return expressions, shapes


KINDS = {"array": np.asarray, "tensor": torch.tensor, "list": np.ndarray.tolist}


@pytest.mark.parametrize("kind", KINDS)
class TestImages:
    @pytest.mark.parametrize(
        "shape",
        [(5, 6, 7), (5, 6, 7, 1), (5, 6, 7, 3), (5, 6, 7, 2), (5, 3, 6, 3), (5, 1, 7, 1)],
        ids=str,
    )
    def test_channels_last(self, kind, shape):
        images = RNG.rand(*shape)
        match = rf"(?s)X has {len(shape)} dim.*dim {len(shape)}\..*X\.reshape\(len\(X\), -1\)"
        with pytest.raises(ValueError, match=match) as error:
            learn(KINDS[kind](images))
        (expression,), (image_shape,) = cures(error)
        assert image_shape == shape[1:]
        rows = read(eval(expression, {"X": self.as_array(kind, images, error)}))
        assert_array_equal(rows.reshape(-1, *image_shape), images)

    @pytest.mark.parametrize("shape", [(5, 1, 6, 7), (5, 3, 6, 7), (5, 4, 16, 16)], ids=str)
    def test_channels_first(self, kind, shape):
        images = RNG.rand(*shape)
        with pytest.raises(ValueError, match="channels of X seem to come first") as error:
            learn(KINDS[kind](images))
        (expression,), (image_shape,) = cures(error)
        assert image_shape == (*shape[2:], shape[1])
        assert ("X.permute(0, 2, 3, 1)" in expression) == (kind == "tensor")
        assert ("X.transpose(0, 2, 3, 1)" in expression) == (kind != "tensor")
        rows = read(eval(expression, {"X": self.as_array(kind, images, error)}))
        assert_array_equal(rows.reshape(-1, *image_shape), np.moveaxis(images, 1, -1))

    @pytest.mark.parametrize("shape", [(2, 3, 4, 5, 1), (2, 6, 4, 5, 7), (2, 3, 4, 5, 6)], ids=str)
    def test_volumes(self, kind, shape):
        given = RNG.rand(*shape)
        with pytest.raises(ValueError, match=r"volumes.*as a table.*slice") as error:
            learn(KINDS[kind](given))
        (stacked, sliced), (none, tall, one) = cures(error)
        is_first = shape[1] == 3 and shape[-1] != 1
        volumes = np.moveaxis(given, 1, -1) if is_first else given
        given = {"X": self.as_array(kind, given, error)}
        rows = read(eval(stacked, given))
        assert none is None
        assert_array_equal(rows, volumes.reshape(len(volumes), -1))
        slices_below = rows.reshape(-1, *tall)
        assert_array_equal(slices_below[0, : one[0]], volumes[0, 0])
        assert_array_equal(slices_below[0, -one[0] :], volumes[0, -1])
        assert_array_equal(read(eval(sliced, given)).reshape(-1, *one)[1], volumes[0, 1])

    def test_more(self, kind):
        given = RNG.rand(2, 3, 2, 2, 2, 2)
        with pytest.raises(ValueError, match=r"6 dimensions.*table") as error:
            learn(KINDS[kind](given))
        (expression,), _ = cures(error)
        assert_array_equal(
            read(eval(expression, {"X": self.as_array(kind, given, error)})), given.reshape(2, -1)
        )

    def as_array(self, kind, images, error):
        """Return what the expression is to be applied to: a list has to become an array first."""
        assert ("X = numpy.asarray(X)" in str(error.value)) == (kind == "list")
        return torch.tensor(images) if kind == "tensor" else images
