"""NACL: NumPy in float64, MONAI's, and shares a reader can count."""

import numpy as np
import pytest
import torch
from monai.losses import NACLLoss
from scipy.special import log_softmax
from torch.testing import assert_close

from tests.losses.reference import mean


def reference(loss, logits, target, weights, facts):
    """Murugesan et al., pixel by pixel: cross-entropy and the L1 distance of the logits from the shares around it."""
    reach, costs, pixels = loss.size // 2, [], []
    log_p, classes = log_softmax(logits, axis=1), np.arange(logits.shape[1])
    for b, i, j in np.argwhere(target != 255):
        around = target[b, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1]
        shares = (around[around != 255][:, None] == classes).mean(axis=0)
        t = target[b, i, j]
        costs.append(-log_p[b, t, i, j] + loss.penalty * np.abs(shares - logits[b, :, i, j]).mean())
        pixels.append(weights[t])
    return mean(np.array(costs), np.array(pixels))


def test_shares_by_hand(build, row):
    """The pixels around are 0 0, 0 0 1 and 0 1: shares of class 1 of 0, 1/3 and 1/2. The logits are 0."""
    loss = build("nacl", penalty=1.0)(torch.zeros(1, 2, 1, 3), row(0, 0, 1))
    assert loss.item() == pytest.approx(np.log(2) + (1 + 1 + 1) / 3 / 2)  # the shares of a pixel sum to 1
    ones = build("nacl", penalty=1.0)(torch.tensor([[[[0.0] * 3], [[1.0] * 3]]]), row(0, 0, 1))
    distance = ((1 + 1) + (2 / 3 + 2 / 3) + (1 / 2 + 1 / 2)) / 3 / 2
    cross_entropy = (2 * np.log(1 + np.e) + np.log(1 + np.exp(-1))) / 3
    assert ones.item() == pytest.approx(cross_entropy + distance)


def test_void_pixels_and_the_edge_have_no_share(build, row):
    """The only pixel around that is known is the pixel itself."""
    logits = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).repeat(1, 1, 1, 3)
    loss = build("nacl")(logits, row(255, 0, 255))
    assert loss.item() == pytest.approx(np.log(1 + np.exp(-1)))  # its logits are its shares


def test_without_penalty_it_is_cross_entropy(build, batch, weights):
    """Its limit, with class weights too."""
    assert_close(build("nacl", penalty=0.0)(*batch, weights), build("cross_entropy")(*batch, weights))


@pytest.mark.parametrize("size", [3, 5])
def test_equals_monai_away_from_the_edge(build, batch, size):
    """What a change of logits there changes; at the edge MONAI counts what is beyond the image as no class."""
    logits, target = torch.nn.functional.pad(batch[0], (2,) * 4), torch.nn.functional.pad(batch[1] % 4, (2,) * 4)
    other = logits.clone()
    other[..., 2:-2, 2:-2] = batch[0].flip(2)
    monai = NACLLoss(classes=4, dim=2, kernel_size=size)
    ours = build("nacl", size=size)
    assert_close(ours(logits, target) - ours(other, target), monai(logits, target) - monai(other, target))


def test_certainty_costs(build, row):
    """Once the logits are beyond the shares, each unit costs the penalty, shared by the classes."""
    loss, truth = build("nacl"), row(0, 0, 0)
    near, far = (loss(torch.tensor([m, -m]).view(1, 2, 1, 1).repeat(1, 1, 1, 3), truth) for m in (20.0, 30.0))
    assert (far - near).item() == pytest.approx(0.1 * 10)


def test_the_best_logits_are_softer_beside_a_border(build):
    """What a descent ends with: a pixel all of whose neighbours agree is surer of its class than one at the border."""
    truth = torch.tensor([[[0, 0, 0, 0, 1, 1, 1, 1]] * 3])
    logits = torch.zeros(1, 2, 3, 8, requires_grad=True)
    optimizer, loss = torch.optim.SGD([logits], lr=5.0), build("nacl", penalty=1.0)
    for _ in range(300):
        optimizer.zero_grad()
        loss(logits, truth).backward()
        optimizer.step()
    sure = logits.softmax(dim=1)[0, 0, 1]
    assert sure[0] > sure[3] + 0.05 > 0.55
