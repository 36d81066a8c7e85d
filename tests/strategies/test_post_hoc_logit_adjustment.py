"""Post-hoc logit adjustment: which tau is chosen, against known optima and the theory."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score

IMAGES = [[900, 90, 10]]
LOG_SHARES = np.log([0.9, 0.09, 0.01])


def tau_of(offsets):
    """The tau that gives these offsets, which must be one for all classes."""
    tau = -offsets / LOG_SHARES
    assert np.ptp(tau) < 1e-9
    return tau[0]


@pytest.mark.parametrize(("best", "chosen"), [(0.0, 0.0), (0.7, 0.7), (0.76, 0.8), (1.9, 1.9), (5.0, 2.0), (-1, 0.0)])
def test_finds_the_best_of_21_even_steps(build, statistics, best, chosen):
    """Of a score with one peak: the step that is nearest to it, or the end of the range that is."""
    offsets = build("post_hoc_logit_adjustment").decision(
        statistics(*IMAGES), lambda offsets: -((tau_of(offsets) - best) ** 2)
    )
    assert tau_of(offsets) == pytest.approx(chosen)


def test_largest_is_the_end_of_the_range(build, statistics):
    """And the steps are finer or coarser with it."""
    strategy = build("post_hoc_logit_adjustment", largest=4.0)
    assert tau_of(strategy.decision(statistics(*IMAGES), tau_of)) == pytest.approx(4)
    offsets = strategy.decision(statistics(*IMAGES), lambda offsets: -abs(tau_of(offsets) - 1.15))
    assert tau_of(offsets) == pytest.approx(1.2)


@pytest.mark.parametrize(("score", "chosen"), [(lambda tau: 0.5, 0.0), (lambda tau: min(tau, 0.6), 0.6)])
def test_of_equal_scores_the_least_tau_wins(build, statistics, score, chosen):
    """No more is changed than helps."""
    offsets = build("post_hoc_logit_adjustment").decision(
        statistics(*IMAGES), lambda offsets: round(score(tau_of(offsets)), 6)
    )
    assert tau_of(offsets) == pytest.approx(chosen)


def test_a_score_is_asked_for_once_per_step(build, statistics):
    """Each costs a pass over the validation split."""
    asked = []
    build("post_hoc_logit_adjustment").decision(statistics(*IMAGES), lambda offsets: asked.append(offsets) or 0.0)
    assert len(asked) == 21


def test_theory_is_recovered_on_gaussians(build, statistics):
    """Menon et al.: of the Bayes-optimal logits log p(c | x), tau = 1 has the best mean recall.

    Three normal classes with priors of 90, 9 and 1 %; the mean recall is scikit-learn's.
    """
    random = np.random.default_rng(0)
    labels = random.choice(3, size=100_000, p=np.exp(LOG_SHARES))
    means = np.array([0.0, 1.5, 3.0])
    logits = LOG_SHARES + norm.logpdf(random.normal(means[labels])[:, None], means)

    def mean_recall(offsets):
        return balanced_accuracy_score(labels, (logits + offsets).argmax(axis=1))

    offsets = build("post_hoc_logit_adjustment").decision(statistics(*IMAGES), mean_recall)
    assert tau_of(offsets) == pytest.approx(1, abs=0.15)
    assert mean_recall(offsets) > mean_recall(np.zeros(3)) + 0.1


def test_names_of_classes_do_not_matter(build, statistics):
    """Permuting the classes permutes what is added to them."""
    strategy, order = build("post_hoc_logit_adjustment"), [2, 0, 1]
    offsets = strategy.decision(statistics(*IMAGES), lambda offsets: -((offsets[2] - 3) ** 2))
    renamed = strategy.decision(statistics([10, 900, 90]), lambda offsets: -((offsets[0] - 3) ** 2))
    np.testing.assert_allclose(renamed, offsets[order])
