import pytest

from pipeline import download
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import file_digest


@pytest.fixture
def pets(tmp_path):
    """Two archives of which the second does not exist."""
    (tmp_path / "images.tar").write_bytes(bytes(10240))  # an empty tar archive
    urls = [f"{tmp_path.as_uri()}/{name}.tar" for name in ("images", "annotations")]
    checksum = f"md5:{file_digest(tmp_path / 'images.tar')}"
    return {"kind": "oxford_pets", "archives": [{"url": url, "checksum": checksum} for url in urls]}


def test_a_failed_download_leaves_no_raw_data(run_stages, pets, tmp_path):
    with pytest.raises(UserError, match=r"annotations\.tar: no address gives this file"):
        run_stages(tmp_path, "pets", pets, stages=("download",))
    assert list((tmp_path / "data/raw").iterdir()) == []
    assert (tmp_path / "data/archives/oxford_pets/images.tar").is_file()


def test_an_archive_put_there_by_hand_is_accepted(run_stages, pets, tmp_path):
    archives = tmp_path / "data/archives/oxford_pets"
    archives.mkdir(parents=True)
    (archives / "annotations.tar").write_bytes(bytes(10240))
    run_stages(tmp_path, "pets", pets, stages=("download",))
    assert (tmp_path / "data/raw/pets").is_dir()


def test_an_older_download_is_replaced(run_stages, tmp_path):
    stale = tmp_path / "data/raw/digits/stale.txt"
    stale.parent.mkdir(parents=True)
    stale.touch()
    run_stages(tmp_path, "digits", {}, stages=("download",))
    assert [path.name for path in stale.parent.iterdir()] == ["source.npz"]


def test_without_a_plan_the_remedy_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["download", "digits"])
    with pytest.raises(UserError, match=r"data/plan/dataset/digits\.json: missing"):
        download.main()
