"""The DVC remote through which machines exchange results."""

import pytest

from pipeline.plumbing.errors import UserError
from pipeline.running.remote import check_remote
from tests.running.conftest import dvc


def test_it_takes_a_default_remote_that_keeps_a_run_cache(shells, tmp_path):
    with pytest.raises(UserError, match=r"^--pull: there is no default DVC remote, .* `dvc remote add --default "):
        check_remote()
    dvc("remote", "add", "--default", "web", "https://user:word@example.org/store?token=abcd")
    with pytest.raises(
        UserError, match=r"^--pull: the DVC remote 'web' is https://example.org/store, and DVC keeps no "
    ):
        check_remote()
    dvc("remote", "add", "--default", "shared", str(tmp_path / "remote"))
    check_remote()
