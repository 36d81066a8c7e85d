"""Pretrained weights, with the real ones of an encoder: from the cache, over a network, and where there are none."""

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from huggingface_hub import constants
from safetensors.numpy import load_file

from pipeline.learn.model import build
from pipeline.learn.settings import UNet
from pipeline.plumbing.errors import UserError

ROOT = Path(__file__).parents[2]
BUILD = """
import hashlib, json, sys, torch
from pipeline.learn.model import build
from pipeline.learn.settings import UNet
from pipeline.plumbing.errors import UserError

for encoder in sys.argv[2:]:
    torch.manual_seed(0)
    try:
        options = UNet(encoder=encoder, weights="imagenet", depth=3, decoder_width=4)
        tensors = build(options, 3, 0.0, [0.5] * 3, [0.5] * 3).unet.state_dict()
        digest = hashlib.md5(b"".join(each.numpy().tobytes() for each in tensors.values())).hexdigest()
        first = tensors[sys.argv[1]].contiguous().numpy()
        print(json.dumps([digest, hashlib.md5(first.tobytes()).hexdigest()]))
    except UserError as error:
        print(json.dumps(str(error)))
"""


LITE = "tu-tf_efficientnet_lite0"
FIRST = "encoder.model.conv_stem.weight"


def build_in_a_process(*encoders: str, **environment: str) -> tuple[list, str]:
    """What comes of networks with these pretrained encoders, and what was printed as an error or a warning.

    Of each a digest of all its weights and one of the first of them, or the sentence with which it is refused.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    command = [sys.executable, "-c", BUILD, FIRST, *encoders]
    settings = kept | {"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment}
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


class Hub(http.server.SimpleHTTPRequestHandler):
    """Answers as the hub does, from the folder of a cache."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        self.server.asked.append(self.path)
        _, owner, model, *_, name = self.path.split("/") if self.path.count("/") > 3 else [""] * 4
        found = list(Path(self.directory).glob(f"models--{owner}--{model}/snapshots/*/{name}")) if name else []
        self.send_response(self.server.status or (200 if found or not name else 404))
        content = found[0].read_bytes() if found else b""
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{len(content)}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        return content

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(request):
    """A server in the place of the hub; with a parameter, it answers everything with that status."""
    status = getattr(request, "param", None)
    folder = None if status else request.getfixturevalue("pretrained") / "hub"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Hub, directory=str(folder))) as server:
        server.asked, server.status = [], status
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def from_the_cache(pretrained):
    """Digests of a network whose encoder's weights were in the cache; the host would have refused."""
    found, said = build_in_a_process(LITE, HF_HOME=str(pretrained), HF_ENDPOINT="http://127.0.0.1:9")
    assert said == "", "neither of timm's classifier nor of how weights are to be asked for"
    return found[0]


def test_weights_in_the_cache_are_used_and_nobody_is_asked(from_the_cache, pretrained):
    """The first layer has the numbers of the file."""
    (file,) = (pretrained / "hub" / "models--timm--tf_efficientnet_lite0.in1k" / "snapshots").glob("*/*.safetensors")
    assert from_the_cache[1] == hashlib.md5(load_file(file)["conv_stem.weight"].tobytes()).hexdigest()


def test_weights_are_fetched_once_and_the_random_ones_are_those_they_would_be_otherwise(from_the_cache, hub, tmp_path):
    """The attempt without the network leaves no trace in torch's generator; an encoder that is not there is refused."""
    address = f"http://127.0.0.1:{hub.server_port}"
    missing = "tu-tf_efficientnet_lite1"
    found, _ = build_in_a_process(LITE, LITE, missing, HF_HOME=str(tmp_path), HF_ENDPOINT=address)
    assert found[:2] == [from_the_cache] * 2
    assert len([path for path in hub.asked if "lite0" in path]) == 2, "one HEAD, one GET"
    assert f"'{missing}' are not in {tmp_path}/hub, and 127.0.0.1 does not give them: status 404." in found[2]


@pytest.mark.parametrize("encoder", [LITE, "resnet18"])
def test_without_cache_and_network_it_is_one_sentence(no_hub, tmp_path, encoder):
    """Of encoders of timm, and of segmentation_models_pytorch itself."""
    with pytest.raises(UserError) as refused:
        build(UNet(encoder=encoder, weights="imagenet"), 2, 0.0, [0.5] * 3, [0.5] * 3)
    assert str(refused.value) == (
        f"The pretrained weights of encoder '{encoder}' are not in {tmp_path}/hub, and 127.0.0.1 does not give them: "
        "[Errno 111] Connection refused. Connect this machine, or copy that folder from one that has them (HF_HOME says "
        "where it lies), or set `weights: null`."
    )


def test_who_has_switched_the_network_off_is_reminded(no_hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"/hub, and HF_HUB_OFFLINE is set\. Connect"):
        build(UNet(weights="imagenet"), 2, 0.0, [0.5] * 3, [0.5] * 3)
    assert constants.HF_HUB_OFFLINE is True


@pytest.mark.parametrize("hub", [503], indirect=True)
def test_a_server_out_of_order_is_asked_once(no_hub, hub, monkeypatch):
    """Left to itself, the library would ask it twelve times and wait longer each time."""
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
    with pytest.raises(UserError, match=r"127\.0\.0\.1 does not give them: status 503\."):
        build(UNet(weights="imagenet"), 2, 0.0, [0.5] * 3, [0.5] * 3)
    assert len(hub.asked) == 1


def test_damaged_weights_are_named_with_where_they_lie(no_hub, pretrained, tmp_path):
    """A download that a full disk cut short; nobody is asked for what seems to be there."""
    shutil.copytree(pretrained / "hub", tmp_path / "hub")
    (file,) = (tmp_path / "hub" / "models--timm--tf_efficientnet_lite0.in1k" / "snapshots").glob("*/*.safetensors")
    os.truncate(file, 1000)
    with pytest.raises(UserError, match=rf"encoder '{LITE}' in {tmp_path}/hub are damaged \(.+\); delete their folder"):
        build(UNet(encoder=LITE, weights="imagenet"), 2, 0.0, [0.5] * 3, [0.5] * 3)


def test_a_network_without_pretrained_weights_asks_nobody(no_hub):
    build(UNet(encoder="tu-resnet10t", depth=3), 2, 0.0, [0.5] * 3, [0.5] * 3)
