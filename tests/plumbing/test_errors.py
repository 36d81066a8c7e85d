"""How a stage ends on a mistake, and what is proposed for a word that is not known."""

import pytest

from pipeline.plumbing.errors import UserError, did_you_mean, run_stage


def raising(error: BaseException):
    def stage() -> None:
        raise error

    return stage


@pytest.mark.parametrize(
    ("word", "tail"),
    [
        ("dcie", "Did you mean 'dice'? Known: dice, focal, tversky."),
        ("Focal", "Did you mean 'focal'? Known: dice, focal, tversky."),
        ("dice", "Did you mean 'dice'? Known: dice, focal, tversky."),
        ("xyz", "Known: dice, focal, tversky."),
        ("", "Known: dice, focal, tversky."),
    ],
)
def test_the_nearest_known_word_is_proposed(word, tail):
    """And nothing where nothing is near."""
    assert did_you_mean(word, ["tversky", "focal", "dice"]) == tail


def test_what_is_listed_may_be_less_than_what_is_known():
    """A thousand encoders are searched, not printed."""
    assert (
        did_you_mean("tu-resnt", ["tu-resnet", "vgg"], ["vgg", "tu-..."])
        == "Did you mean 'tu-resnet'? Known: tu-..., vgg."
    )


def test_a_mistake_of_the_user_is_one_line_and_exit_code_1(capsys):
    """No traceback: it would bury the sentence."""
    with pytest.raises(SystemExit) as ended:
        run_stage(raising(UserError("params.yaml: fit.lr: 0 should be greater than 0.")))
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "error: params.yaml: fit.lr: 0 should be greater than 0.\n")


def test_an_interrupt_is_one_word_and_exit_code_130(capsys):
    """As a shell reports it."""
    with pytest.raises(SystemExit) as ended:
        run_stage(raising(KeyboardInterrupt()))
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_defect_of_the_code_keeps_its_traceback():
    """It is not the user's to mend."""
    with pytest.raises(ZeroDivisionError):
        run_stage(raising(ZeroDivisionError()))


def test_a_stage_that_succeeds_just_returns():
    """Exit code 0."""
    run_stage(lambda: None)
