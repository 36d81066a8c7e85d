"""Settings: what is refused, and that the list of encoders is current."""

import pytest

from pipeline.learn.settings import Fit, UNet, encoders
from pipeline.plumbing.errors import UserError


def test_the_list_of_encoders_is_that_of_the_library():
    from pipeline.learn.torchvision_schemas import declare_missing_operators

    declare_missing_operators()
    import segmentation_models_pytorch as smp
    import timm

    own = {name: "imagenet" in encoder["pretrained_settings"] for name, encoder in smp.encoders.encoders.items()}
    universal = {f"tu-{name}": timm.is_model_pretrained(name) for name in timm.list_models()}
    assert encoders() == own | universal


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"encoder": "resnt18"}, "p: axes.model.u.encoder: no encoder 'resnt18'. Did you mean 'resnet18'? Known: "),
        ({"encoder": "tu-resnext50-32x4d"}, "Did you mean 'tu-resnext50_32x4d'? Known: densenet121, "),
        ({"depth": 6}, "p: axes.model.u.depth: 6 should be less than or equal to 5."),
        ({"width": 6}, "p: axes.model.u.width: unknown key."),
        ({"encoder": "tu-botnet50ts_256", "weights": "imagenet"}, "no imagenet weights; set weights to null."),
        ({"weights": "imagnet"}, "Did you mean 'imagenet'?"),
    ],
)
def test_a_wrong_model_is_one_sentence(block, sentence):
    with pytest.raises(UserError) as refused:
        UNet.read(block, "p: axes.model.u")
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({}, "p: fit.iterations: missing; this key has no default."),
        ({"iterations": 0}, "p: fit.iterations: 0 should be greater than or equal to 1."),
        ({"iterations": "10"}, "p: fit.iterations: '10' should be a valid integer."),
        ({"iterations": 10, "lr": -1e-3}, "p: fit.lr: -0.001 should be greater than 0."),
        ({"iterations": 10, "optimiser": "sgd"}, "p: fit.optimiser: unknown key. Did you mean 'optimizer'? Known: "),
        ({"iterations": 10, "schedule": "cosin"}, "p: fit.schedule: 'cosin' is not allowed. Did you mean 'cosine'?"),
        (
            {"iterations": 10, "momentum": 0.8},
            "'momentum' acts only with optimizer 'sgd', not with 'adamw'; remove it.",
        ),
        ({"iterations": 10, "schedule": "one_cycle"}, "schedule 'one_cycle' rises before it falls: set 'warmup'"),
        ({"iterations": 3}, "'validations' (5) must not exceed 'iterations' (3)."),
    ],
)
def test_a_wrong_fit_is_one_sentence(block, sentence):
    with pytest.raises(UserError) as refused:
        Fit.read(block, "p: fit")
    assert sentence in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_decoder_channels_double_from_block_to_block():
    assert UNet(depth=3, decoder_width=16).decoder_channels == (64, 32, 16)
