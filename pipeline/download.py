"""Stage `download`: fetch the source of one dataset, verified, into `data/raw/DATASET/`.

Verified archives stay in `data/archives/KIND/` for later runs; a file put there by hand is taken as well.
"""

import argparse

from pipeline.plumbing import plugins
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import whole
from pipeline.plumbing.fingerprints import as_planned
from pipeline.plumbing.plan import ARCHIVES, RAW, read_plan


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the source of one dataset.")
    parser.add_argument("dataset", help="a key of axes.dataset in params.yaml")
    key = parser.parse_args().dataset
    described = read_plan("dataset", key)
    dataset = plugins.restore("datasets", described, f"axes.dataset.{key}")
    with whole(RAW / key) as part, as_planned(read_plan("download", key)):
        dataset.download(part, ARCHIVES / described["kind"])
    print(f"{RAW / key}: complete")


if __name__ == "__main__":
    run_stage(main)
