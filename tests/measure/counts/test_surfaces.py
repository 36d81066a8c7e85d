"""Surface counts against MONAI, SciPy's distance transform, the official recipe of boundary IoU, and by hand."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from monai.metrics.utils import get_mask_edges
from scipy.ndimage import binary_erosion, distance_transform_edt

from pipeline.measure.counts.surfaces import COLUMNS, count_surfaces
from tests.measure.counts.blobs import VOID, blobs

SHAPE, CLASSES = (47, 61), 3
SPACINGS = [(1.0, 1.0), (0.7, 1.9)]
TOLERANCE = 2.0
SQUARE = np.ones((3, 3), bool)


def one_hot(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack([mask == index for index in range(CLASSES)])[None])


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI gives it to itself
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_boundary_metrics_equal_those_of_monai(seed, spacing):
    predicted, truth = blobs(seed, SHAPE, CLASSES)
    counts = count_surfaces(predicted, truth, CLASSES, spacing, TOLERANCE)
    pair = one_hot(predicted), one_hot(truth)
    for index, (one, other) in enumerate(zip(pair[0][0], pair[1][0], strict=True)):
        edges = get_mask_edges(one.numpy(), other.numpy(), crop=False)
        assert [counts[name][index] for name in ("surface_predicted", "surface_true")] == [e.sum() for e in edges]

    options = {"include_background": True, "spacing": list(spacing)}
    size = counts["surface_predicted"] + counts["surface_true"]
    near = counts["surface_predicted_near"] + counts["surface_true_near"]
    distance = counts["distance_predicted"] + counts["distance_true"]
    surface_dice = compute_surface_dice(*pair, class_thresholds=[TOLERANCE] * CLASSES, **options)
    np.testing.assert_allclose(near / size, surface_dice[0], rtol=1e-6)
    average = compute_average_surface_distance(*pair, symmetric=True, **options)
    np.testing.assert_allclose(distance / size, average[0], rtol=1e-6)
    hausdorff = compute_hausdorff_distance(*pair, percentile=95, **options)
    np.testing.assert_allclose(counts["hd95"], hausdorff[0], rtol=1e-5)  # MONAI interpolates in float32


@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_distances_equal_those_of_an_exact_distance_transform(seed, spacing, void):
    predicted, truth = blobs(seed, SHAPE, CLASSES, void)
    counts = count_surfaces(predicted, truth, CLASSES, spacing, TOLERANCE)
    hidden = truth == VOID
    for index in range(CLASSES):
        masks = (predicted == index) & ~hidden, truth == index
        percentiles = []
        for side, mask, other in zip(("predicted", "true"), masks, reversed(masks), strict=True):
            surface, nearest = mask & ~binary_erosion(mask | hidden), other & ~binary_erosion(other)
            distances = distance_transform_edt(~nearest, sampling=spacing)[surface]
            assert counts[f"surface_{side}"][index] == len(distances)
            assert counts[f"surface_{side}_near"][index] == np.count_nonzero(distances <= TOLERANCE)
            np.testing.assert_allclose(counts[f"distance_{side}"][index], distances.sum(), rtol=1e-12)
            percentiles.append(np.percentile(distances, 95))
        np.testing.assert_allclose(counts["hd95"][index], max(percentiles), rtol=1e-12)


@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize(("shape", "thickness"), [((30, 40), 1), ((90, 120), 3), ((100, 250), 5), ((1, 9), 1)])
def test_bands_are_those_of_the_official_code_of_boundary_iou(shape, thickness, void):
    """It adds a frame of zeros and erodes by a square as often as the band is thick: 2 % of the diagonal, rounded."""
    predicted, truth = blobs(0, shape, CLASSES, void)
    counts = count_surfaces(predicted, truth, CLASSES, (1.0, 1.0), TOLERANCE)
    hidden = truth == VOID

    def band(mask: np.ndarray) -> np.ndarray:
        return mask & ~binary_erosion(np.pad(mask | hidden, 1), SQUARE, thickness)[1:-1, 1:-1]

    for index in range(CLASSES):
        one, other = band((predicted == index) & ~hidden), band(truth == index)
        assert counts["band_intersection"][index] == np.count_nonzero(one & other)
        assert counts["band_union"][index] == np.count_nonzero(one | other)


def test_two_columns_two_apart_by_hand():
    """Each is its own surface and 2 columns of 0.5 from the other; anisotropic pixels count as they are."""
    predicted, truth = np.zeros((4, 7), np.uint8), np.zeros((4, 7), np.uint8)
    predicted[:, 2], truth[:, 4] = 1, 1
    for tolerance, near in ((0.99, 0), (1.0, 4)):
        counts = count_surfaces(predicted, truth, 2, (3.0, 0.5), tolerance)
        assert {name: counts[name][1] for name in COLUMNS} == {
            "band_intersection": 0,
            "band_union": 8,
            "surface_predicted": 4,
            "surface_predicted_near": near,
            "distance_predicted": 4.0,
            "surface_true": 4,
            "surface_true_near": near,
            "distance_true": 4.0,
            "hd95": 1.0,
        }


def test_the_larger_of_the_two_directed_percentiles_counts():
    """The one true pixel is met; of the predicted ones, at 0, 1 ... 20, the percentile lies at the 19th step."""
    truth, predicted = np.zeros((1, 40), np.uint8), np.zeros((1, 40), np.uint8)
    truth[0, 0], predicted[0, :21] = 1, 1
    assert count_surfaces(predicted, truth, 2, (1.0, 1.0), 0.0)["hd95"][1] == pytest.approx(19.0)


def test_a_tolerance_of_three_pixels_holds_the_third_pixel():
    """3 x 0.1 is more than 0.3 in binary."""
    truth, predicted = np.zeros((1, 9), np.uint8), np.zeros((1, 9), np.uint8)
    truth[0, 0], predicted[0, 3] = 1, 1
    assert count_surfaces(predicted, truth, 2, (0.1, 0.1), 0.3)["surface_true_near"][1] == 1


@pytest.mark.parametrize(("there", "absent"), [("predicted", "true"), ("true", "predicted")])
def test_a_class_in_one_mask_only_is_the_diagonal_away(there, absent):
    """MONAI says infinity, with which no mean over images can be formed."""
    mask, empty = np.zeros((3, 4), np.uint8), np.zeros((3, 4), np.uint8)
    mask[1, 1:3] = 1
    pair = (mask, empty) if there == "predicted" else (empty, mask)
    counts = count_surfaces(*pair, 2, (2.0, 2.0), 100.0)
    diagonal = math.hypot(6, 8)
    assert counts[f"surface_{there}"][1] == 2
    assert counts[f"surface_{there}_near"][1] == 0
    assert counts[f"distance_{there}"][1] == 2 * diagonal
    assert counts["hd95"][1] == diagonal
    assert (counts["band_intersection"][1], counts["band_union"][1]) == (0, 2)
    assert not any(counts[name.format(absent)][1] for name in ("surface_{}", "surface_{}_near", "distance_{}"))


def test_a_class_in_neither_mask_counts_nothing():
    mask = np.zeros((3, 4), np.uint8)
    counts = count_surfaces(mask, mask, 2, (1.0, 1.0), 1.0)
    assert np.isnan(counts.pop("hd95")[1])
    assert not any(each[1] for each in counts.values())


@pytest.mark.parametrize(("shape", "surface"), [((5, 6), 18), ((1, 6), 6), ((1, 1), 1)])
def test_the_frame_is_the_surface_of_a_class_that_fills_the_image(shape, surface):
    mask = np.zeros(shape, np.uint8)
    counts = count_surfaces(mask, mask, 1, (1.0, 1.0), 0.0)
    assert counts["surface_true"] == counts["surface_true_near"] == counts["band_intersection"] == surface
    assert counts["distance_true"] == counts["hd95"] == 0.0


def test_what_is_predicted_at_void_pixels_changes_nothing():
    predicted, truth = blobs(5, SHAPE, CLASSES, void=True)
    other = np.where(truth == VOID, (predicted + 1) % CLASSES, predicted).astype(np.uint8)
    one, two = (count_surfaces(mask, truth, CLASSES, (1.0, 1.0), TOLERANCE) for mask in (predicted, other))
    for name in COLUMNS:
        np.testing.assert_array_equal(one[name], two[name])


def test_the_edge_of_a_void_region_is_no_surface():
    """The class ends in a column of void: its surface is where it meets the frame, in 3 + 3 + 1 pixels."""
    truth = np.zeros((3, 7), np.uint8)
    truth[:, :3], truth[:, 3] = 1, VOID
    counts = count_surfaces(np.where(truth == VOID, 1, truth).astype(np.uint8), truth, 2, (1.0, 1.0), 0.0)
    assert counts["surface_true"][1] == counts["surface_true_near"][1] == counts["surface_predicted"][1] == 7
    assert counts["hd95"][1] == 0.0


def test_to_a_class_that_void_encloses_the_distance_is_that_to_its_nearest_known_pixel():
    """The class has no surface of its own to be judged, but a prediction that leaves the void behind has."""
    truth = np.zeros((9, 9), np.uint8)
    truth[2:7, 2:7], truth[4, 4] = VOID, 1
    predicted = np.zeros((9, 9), np.uint8)
    predicted[2:7, 2:7] = 1
    counts = count_surfaces(predicted, truth, 2, (1.0, 1.0), 4.0)
    assert (counts["surface_predicted"][1], counts["surface_true"][1]) == (0, 0)
    assert np.isnan(counts["hd95"][1])
    predicted[4, 7] = 1
    counts = count_surfaces(predicted, truth, 2, (1.0, 1.0), 3.0)
    assert (counts["surface_predicted_near"][1], counts["distance_predicted"][1], counts["hd95"][1]) == (1, 3.0, 3.0)


def test_an_image_of_void_counts_nothing():
    counts = count_surfaces(np.zeros((3, 4), np.uint8), np.full((3, 4), VOID, np.uint8), 2, (1.0, 1.0), 1.0)
    assert np.isnan(counts.pop("hd95")).all()
    assert not any(each.any() for each in counts.values())
