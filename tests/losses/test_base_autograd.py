"""Functions with a derivative of their own: torch's own functions, difference quotients, and second derivatives."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import max_pool2d, one_hot
from torch.testing import assert_close

from pipeline.losses.base_autograd import Errors, Extreme, Implicit, InParts, Linear, in_parts

SQUARE = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


@pytest.fixture
def pixels():
    """Logits `2 3 4 5` in float64, true classes and a mask with void pixels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    mask = torch.ones(2, 4, 5, dtype=torch.float64)
    mask[0, 1, :3] = 0
    return logits, torch.randint(0, 3, (2, 4, 5), generator=generator), mask


def plain_errors(logits, true_class, mask):
    g = one_hot(true_class, logits.shape[1]).movedim(-1, 1)
    return (logits.softmax(dim=1) - g).abs() * mask.unsqueeze(1)


def test_errors_are_the_distance_of_softmax_from_truth(pixels):
    """In value and gradient, as autograd has them."""
    by = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    results = []
    for errors in (Errors.apply, plain_errors):
        value = errors(*pixels)
        results.append((value, *torch.autograd.grad((value * by).sum(), pixels[0])))
    assert_close(*results)


def test_errors_are_differentiable_twice(pixels):
    """By difference quotients of values and of gradients."""
    logits, *rest = pixels
    assert gradcheck(lambda logits: Errors.apply(logits, *rest), logits)
    assert gradgradcheck(lambda logits: Errors.apply(logits, *rest), logits)


@pytest.mark.parametrize("certainty", [10.0, 20.0, 40.0])
def test_small_errors_keep_their_digits_and_so_do_their_gradients(certainty):
    """1 - p of the true class is e^-certainty, which float32 cannot tell from 0 as a difference from 1."""
    logits = torch.tensor([certainty, 0.0]).view(1, 2, 1, 1)
    single, double = logits.clone().requires_grad_(), logits.double().requires_grad_()
    for each in (single, double):
        truth = torch.zeros(1, 1, 1, dtype=torch.long), torch.ones(1, 1, 1, dtype=each.dtype)
        (Errors.apply(each, *truth) ** 2)[0, 0].sum().backward()
    expected = -2 * torch.tensor(-2 * certainty).double().exp()
    assert double.grad[0, 0].item() == pytest.approx(expected.item(), rel=1e-3)
    assert_close(single.grad.double(), double.grad, rtol=1e-5, atol=0)


def cubes(part, _):
    """A value of each map, with an odd second derivative."""
    return (part**3).sum(dim=(0, 2, 3)).view(1, -1, 1, 1)


@pytest.mark.parametrize("parts", [[[0, 1, 2]], [[0], [1], [2]], [[2, 0], [1]]])
def test_parts_together_are_the_whole(pixels, parts):
    """However it is divided; also their second derivatives, for which slopes kept as numbers would not do."""
    parts = [torch.tensor(each) for each in parts]

    def in_parts(x):
        return InParts.apply(x, cubes, 1, parts, (1, 3, 1, 1))

    assert_close(in_parts(pixels[0]), cubes(pixels[0], None))
    assert gradcheck(in_parts, pixels[0])
    assert gradgradcheck(in_parts, pixels[0])


def test_what_belongs_to_no_part_is_0_and_learns_nothing(pixels):
    """As an absent class."""
    value = InParts.apply(pixels[0], cubes, 1, [torch.tensor([1])], (1, 3, 1, 1))
    (gradient,) = torch.autograd.grad(value.sum(), pixels[0])
    assert value[0, [0, 2]].tolist() == [[[0.0]], [[0.0]]]
    assert (gradient[:, [0, 2]] == 0).all()
    assert (gradient[:, 1] != 0).all()


def test_without_a_gradient_none_is_computed(pixels):
    """Validation pays for the value alone."""
    seen = []

    def watched(part, _):
        seen.append(part.requires_grad)
        return cubes(part, _)

    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            in_parts(pixels[0], watched, 1, [torch.arange(3)], (1, 3, 1, 1))
    assert seen == [True, False]


def test_linear_map_has_its_transpose_as_derivative(pixels):
    """Any matrix."""
    matrix = torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def product(x):
        return Linear.apply(x, lambda x: x @ matrix, lambda by: by @ matrix.T)

    assert gradcheck(product, pixels[0])
    assert gradgradcheck(product, pixels[0])


def test_maximum_is_that_of_max_pooling(pixels):
    """In value and gradient, where no two pixels are equal."""
    results = []
    for highest in (lambda x: Extreme.apply(x, torch.maximum, SQUARE), lambda x: max_pool2d(x, 3, 1, 1)):
        value = highest(pixels[0])
        results.append((value, *torch.autograd.grad((value**2).sum(), pixels[0])))
    assert_close(*results)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2)])
def test_minimum_is_differentiable_twice(shape):
    """Also in images without a neighbour."""
    x = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: Extreme.apply(x, torch.minimum, SQUARE), x)
    assert gradgradcheck(lambda x: Extreme.apply(x, torch.minimum, SQUARE) ** 2, x)


def test_of_equal_pixels_one_has_the_slope():
    """The pixel itself before its neighbours, so that a plateau is not counted twice."""
    x = torch.ones(1, 1, 1, 4, requires_grad=True)
    Extreme.apply(x, torch.maximum, SQUARE).sum().backward()
    assert x.grad.flatten().tolist() == [1, 1, 1, 1]


def test_implicit_value_has_the_slope_that_is_given():
    """y^2 = x by a solver that autograd does not see."""
    x = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64, requires_grad=True)

    def root(x):
        return Implicit.apply(x, lambda x: x.detach().sqrt(), lambda x, y: 1 / (2 * y))

    assert gradcheck(root, x)
    assert gradgradcheck(root, x)
