"""What each loss gains and loses by class, against how rare the class is."""

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pipeline.measure.figures.style import axes_of, leftmost, legend, line_styles, of, small_multiples, styled
from pipeline.measure.story import Story
from pipeline.measure.tables.scores import EXPERIMENT


@styled
def class_gains(story: Story, dataset: str, model: str) -> Figure:
    """Difference in IoU of each class from the control against its share of the train pixels, rare classes at the left:
    a panel per strategy, a line per loss. Grey: the interval of the control, as a difference from its mean."""
    rows = of(story.classes, dataset, model)
    rows = rows[rows["train_frequency"] > 0].sort_values("train_frequency", kind="stable")
    control = rows[(rows["loss"] == story.control["loss"]) & (rows["strategy"] == story.control["strategy"])]
    control = control.drop(columns=EXPERIMENT).set_index("class_name")
    strategies = axes_of(story)[1]
    figure, grid = small_multiples(strategies, 1, height=2.6)
    for strategy, (axes,) in zip(strategies, grid, strict=True):
        axes.set(title=strategy, xlabel="share of train pixels", xscale="log")
        axes.grid(True)
        axes.axhline(0, color="black", linewidth=0.8)
        ends = (control[f"iou_{end}"] - control["iou"] for end in ("low", "high"))
        axes.fill_between(control["train_frequency"], *ends, color="#bbbbbb", alpha=0.4, linewidth=0)
        for loss, style in line_styles(story).items():
            each = rows[(rows["strategy"] == strategy) & (rows["loss"] == loss)].set_index("class_name")
            gain = each["iou"] - control["iou"].reindex(each.index)
            if (loss, strategy) != (story.control["loss"], story.control["strategy"]):
                axes.plot(each["train_frequency"], gain, **style, markersize=3.5, linewidth=1.1, label=loss)
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        axes.xaxis.set_minor_formatter(NullFormatter())
    for axes in leftmost(grid):
        axes.set_ylabel("difference in IoU")
    figure.suptitle(f"What each class gains, rare ones at the left: {dataset}, {model}", fontsize=11)
    legend(figure, story)
    return figure
