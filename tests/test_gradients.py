"""The stage `gradients` in a finished run: recomputed by other means, and with gaps."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.xdist_group("miniature b")

CELL = "digits-unet_tiny-dice-none-0"


def table(workspace, name: str) -> pd.DataFrame:
    return pd.read_csv(workspace.root / "results" / "gradients" / f"{name}.csv").set_index(["loss"])


def norm_of_cross_entropy(root) -> float:
    """At the end of dice: backward through the saved model in training mode, batch after batch."""
    import torch

    from pipeline.learn import model as unet
    from pipeline.learn.samples import shuffled_passes

    facts = json.loads((root / "models" / CELL / "cell.json").read_text())
    images, masks = (np.load(root / f"data/prepared/digits/train_{kind}.npy") for kind in ("images", "masks"))
    model = unet.load(root / "models" / CELL / "model", facts["mean"], facts["std"]).unet.train()
    x = torch.tensor((images / 255 - facts["mean"]) / facts["std"], dtype=torch.float32).permute(0, 3, 1, 2)
    truth, squares = torch.tensor(masks.astype(np.int64)), []
    for chosen in shuffled_passes(0, 16, len(images)).reshape(4, 4):
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(x[chosen]), truth[chosen], ignore_index=255).backward()
        squares.append(sum(each.grad.square().sum().item() for each in model.parameters() if each.grad is not None))
    return np.sqrt(np.mean(squares))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # in from_pretrained of the library
def test_the_norm_at_the_end_is_that_of_a_direct_backward_pass(finished):
    end = table(finished, "norms").query("at == 'end'").loc["dice"]
    assert end["weights_norm"] / end["weights_relative"] == pytest.approx(
        norm_of_cross_entropy(finished.root), rel=1e-3
    )


def test_cross_entropy_is_the_measure_of_all(finished):
    rows = table(finished, "norms").loc["cross_entropy"]
    assert rows["at"].tolist() == ["start", "end"]
    assert rows[["weights_relative", "logits_relative", "cosine"]].to_numpy() == pytest.approx(np.ones((2, 3)))


def test_every_loss_is_compared_with_every_other_and_on_every_class(finished):
    shares = table(finished, "classes").groupby(["loss", "at"])
    assert len(shares) == 4
    assert shares["gradient_share"].sum().to_numpy() == pytest.approx(np.ones(4), rel=1e-4)
    assert shares["pixel_share"].sum().to_numpy() == pytest.approx(np.ones(4), rel=1e-4)
    assert len(table(finished, "cosines")) == 4


def test_the_page_shows_them(finished):
    report = finished.root / "results" / "report"
    assert "At the initial weights the gradients" in (report / "index.html").read_text()
    assert len(list((report / "figures").glob("gradient-*.png"))) == 3


def test_measuring_again_gives_equal_bytes_with_and_without_what_was_kept(workspace):
    folder, kept = workspace.root / "results" / "gradients", workspace.root / ".cache" / "gradients"
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    times = {file: file.stat().st_mtime_ns for file in kept.iterdir()}
    workspace.run("pipeline.gradients")
    assert {file: file.stat().st_mtime_ns for file in kept.iterdir()} == times
    kept.rename(workspace.root / "moved")
    workspace.run("pipeline.gradients")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == files


def test_what_was_damaged_in_the_cache_is_measured_again(workspace):
    """To the same bytes: one value is garbage, one is cut, and in one a number is another."""
    folder = workspace.root / "results" / "gradients"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    kept = {file: file.read_text() for file in sorted((workspace.root / ".cache" / "gradients").iterdir())}
    changes = (lambda _: "garbage", lambda text: text[:100], lambda text: text.replace("0.", "1.", 1))
    for (file, text), change in zip(kept.items(), changes, strict=True):
        file.write_text(change(text))
    workspace.run("pipeline.gradients")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert {file: file.read_text() for file in kept} == kept


def test_losses_without_a_trained_model_are_named(workspace):
    """One diverged and one is missing."""
    shutil.rmtree(workspace.root / "models" / CELL)
    file = workspace.root / "models" / "digits-unet_tiny-cross_entropy-none-0" / "cell.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "status": "diverged", "diverged_at": 2}))
    said = workspace.run("pipeline.gradients").stdout
    cells = "digits-unet_tiny-cross_entropy (diverged at iteration 2), digits-unet_tiny-dice (missing)"
    assert said == f"Without the end of: {cells}.\n"
    states = table(workspace, "norms").query("at == 'end'")["state"]
    assert states.to_dict() == {"cross_entropy": "diverged at iteration 2", "dice": "missing"}
    workspace.run("pipeline.report")
    page = (workspace.root / "results" / "report" / "index.html").read_text()
    assert "Not measured at the end: cross_entropy (diverged at iteration 2), dice (missing)." in page


def test_a_report_before_the_stage_says_so(workspace):
    shutil.rmtree(workspace.root / "results" / "gradients")
    workspace.run("pipeline.report")
    assert "No gradients have been compared yet." in (workspace.root / "results/report/index.html").read_text()
