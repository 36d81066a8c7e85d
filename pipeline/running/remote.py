"""The DVC remote through which machines without a common file system exchange results."""

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.messages import shown
from pipeline.running.process import dvc_says

NO_RUN_CACHE = ("http://", "https://")


def check_remote() -> None:
    """Raise UserError unless there is a default remote that keeps what machines need to take over from each other."""
    settings = dict(line.partition("=")[::2] for line in dvc_says("config", "--list").splitlines())
    name = settings.get("core.remote")
    if not name:
        raise UserError(
            "--pull: there is no default DVC remote, through which machines could exchange results. Set one that all "
            "of them reach, as in `dvc remote add --default shared ssh://server/path`."
        )
    url = settings.get(f"remote.{name}.url", "")
    if url.startswith(NO_RUN_CACHE):
        reason = f"'{name}' is {shown(url)}, and DVC keeps no run-cache on HTTP"
        raise UserError(f"--pull: the DVC remote {reason}; take another.")
