"""Transfers from a real HTTP server that misbehaves as told, one `Act` per answer."""

import base64
import gzip
import hashlib
import io
import random
import signal
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace

import pytest
from tenacity import wait_none

from pipeline.plumbing import part, transfer
from pipeline.plumbing.archive import Archive
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.transfer import fetch
from tests.miniature import interruptible

ROOT = Path(__file__).parents[2]


def make_archive(seed: int) -> bytes:
    """A tar.gz of about 300 kB, the same in every process: the names of tests hold its checksum."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("noise.bin")
        info.size = 300_000
        archive.addfile(info, io.BytesIO(random.Random(seed).randbytes(info.size)))
    return gzip.compress(buffer.getvalue(), mtime=0)


GOOD, OTHER = make_archive(0), make_archive(1)
SHA256 = f"sha256:{hashlib.sha256(GOOD).hexdigest()}"
MD5 = f"md5:{hashlib.md5(GOOD).hexdigest()}"
CUT = 200_000
PATIENCE = transfer.WAIT


@dataclass(frozen=True)
class Act:
    """How one answer departs from that of a good file server."""

    status: int = 200
    """Another status is answered at once."""
    cut: int | None = None
    """The connection ends after so many bytes of the body."""
    surplus: int = 0
    """Bytes after the end of the file, none of which is announced."""
    silent: bool = False
    """Says nothing until the client hangs up: instead of an answer, or before the connection of one that is cut ends."""
    content: bytes | None = None
    """From this answer on the file is another one."""
    ranges: bool = True
    if_range: bool = True
    reason: str | None = None
    """Words beside the status."""
    headers: dict[str, str | None] = field(default_factory=dict)
    """Replace those of a good server; None leaves one out."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        served = self.server.served
        served.requests.append(self)
        act = next(served.acts)
        served.content = act.content or served.content
        self.act = act
        if act.silent and not act.cut:
            return self.wait_for_the_client_to_hang_up()
        if act.status != 200:
            return self.answer(act.status, b"<html>an error page</html>", {})
        etag = f'"{hashlib.md5(served.content).hexdigest()}"'
        start = self.start(etag, len(served.content))
        if start is None:
            return self.answer(200, served.content, {"ETag": etag})
        if start >= len(served.content):
            return self.answer(416, b"no such range", {"Content-Range": f"bytes */{len(served.content)}"})
        place = f"bytes {start}-{len(served.content) - 1}/{len(served.content)}"
        return self.answer(206, served.content[start:], {"ETag": etag, "Content-Range": place})

    def start(self, etag: str, size: int) -> int | None:
        """The first byte asked for, or None if the whole file must be sent."""
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        current = self.act.headers.get("ETag", etag) or self.act.headers.get("Last-Modified")
        if asked is None or not self.act.ranges or (self.act.if_range and condition not in (None, current)):
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status, self.act.reason)
        for name, value in ({"Content-Length": str(len(body))} | headers | self.act.headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # of one who has read enough
            self.wfile.write(body[: self.act.cut] + bytes(self.act.surplus))
            self.wfile.flush()
        if self.act.silent:
            self.wait_for_the_client_to_hang_up()

    def wait_for_the_client_to_hang_up(self) -> None:
        with suppress(ConnectionError):
            self.connection.recv(1)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def serve():
    """`serve(*acts)` starts a server of GOOD: its answers follow `acts`, then are good; `requests` has what it saw."""
    servers = []

    def start(*acts: Act, then: Act | None = None) -> SimpleNamespace:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{server.server_port}/files/data.tar.gz"
        server.served = SimpleNamespace(content=GOOD, acts=chain(acts, repeat(then or Act())), requests=[], url=url)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return server.served

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(transfer, "WAIT", wait_none())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ranges(served: SimpleNamespace) -> list[str | None]:
    return [request.headers.get("Range") for request in served.requests]


def refusal(archive: Archive, directory: Path) -> str:
    """The sentence with which fetching fails; nothing lies under the final name then."""
    with pytest.raises(UserError) as error:
        fetch(archive, directory)
    assert not (directory / archive.filename).exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def assert_fetched(archive: Archive, directory: Path, content: bytes = GOOD) -> None:
    path = fetch(archive, directory)
    assert path == directory / archive.filename
    assert path.read_bytes() == content
    assert list(directory.iterdir()) == [path]


@pytest.mark.parametrize("checksum", [MD5, SHA256, SHA256.upper().replace("SHA", "sha"), None])
@pytest.mark.parametrize("size", [len(GOOD), None])
def test_a_file_is_fetched(tmp_path, serve, checksum, size):
    served = serve()
    assert_fetched(Archive(url=served.url, checksum=checksum, size=size), tmp_path / "new" / "raw")
    assert served.requests[0].headers["Accept-Encoding"] == "identity"
    assert ranges(served) == [None]


def test_a_file_of_unknown_length_is_fetched(tmp_path, serve):
    served = serve(Act(headers={"Content-Length": None}))
    assert_fetched(Archive(url=served.url, checksum=MD5), tmp_path)


def test_a_compressed_file_labelled_as_an_encoding_stays_compressed(tmp_path, serve):
    served = serve(Act(headers={"Content-Encoding": "gzip"}))
    assert_fetched(Archive(url=served.url, checksum=MD5), tmp_path)


def test_a_local_file_is_copied(tmp_path):
    source = tmp_path / "a b.tar.gz"
    source.write_bytes(GOOD)
    archive = Archive(url=source.as_uri(), checksum=MD5, size=len(GOOD))
    assert archive.filename == "a b.tar.gz"
    assert_fetched(archive, tmp_path / "raw")
    assert source.read_bytes() == GOOD


def test_a_verified_file_in_place_is_accepted_without_a_transfer(tmp_path, serve, capsys):
    served = serve()
    (tmp_path / "data.tar.gz").write_bytes(GOOD)
    for checksum in (MD5, None):
        assert_fetched(Archive(url=served.url, checksum=checksum), tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(str(tmp_path / "data.tar.gz") in line and "nothing to transfer" in line for line in lines)
    assert served.requests == []


@pytest.mark.parametrize(
    ("fields", "expected"), [({"checksum": SHA256}, SHA256), ({"size": len(GOOD)}, f"{len(GOOD)} bytes")]
)
def test_a_wrong_file_in_place_is_named_and_left_alone(tmp_path, serve, fields, expected):
    served = serve()
    path = tmp_path / "data.tar.gz"
    path.write_bytes(b"mine")
    with pytest.raises(UserError) as error:
        fetch(Archive(url=served.url, **fields), tmp_path)
    found = "4 bytes" if "size" in fields else f"sha256:{hashlib.sha256(b'mine').hexdigest()}"
    for words in (str(path), f"found {found}", f"expected {expected}", "Delete the file", "correct the checksum"):
        assert words in str(error.value)
    assert path.read_bytes() == b"mine"
    assert served.requests == []


def test_a_broken_transfer_continues_where_it_broke(tmp_path, serve):
    served = serve(Act(cut=CUT), Act(cut=50_000))
    assert_fetched(Archive(url=served.url, checksum=SHA256), tmp_path)
    assert ranges(served) == [None, f"bytes={CUT}-", f"bytes={CUT + 50_000}-"]
    assert served.requests[1].headers["If-Range"] == f'"{hashlib.md5(GOOD).hexdigest()}"'


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_strong_etag_the_date_is_the_validator(tmp_path, serve, etag):
    headers = {"ETag": etag, "Last-Modified": "Sat, 01 Jun 2024 12:00:00 GMT"}
    served = serve(Act(cut=CUT, headers=headers), then=Act(headers=headers, if_range=False))
    assert_fetched(Archive(url=served.url, checksum=SHA256), tmp_path)
    assert ranges(served) == [None, f"bytes={CUT}-"]
    assert served.requests[1].headers["If-Range"] == headers["Last-Modified"]


def test_without_a_validator_a_broken_transfer_starts_over(tmp_path, serve):
    served = serve(Act(cut=CUT, headers={"ETag": None}))
    assert_fetched(Archive(url=served.url), tmp_path)
    assert ranges(served) == [None, None]


def test_a_server_that_ignores_ranges_starts_over(tmp_path, serve):
    served = serve(Act(cut=CUT), Act(ranges=False))
    assert_fetched(Archive(url=served.url, checksum=SHA256), tmp_path)
    assert ranges(served) == [None, f"bytes={CUT}-"]


def test_a_file_that_changes_in_the_middle_starts_over(tmp_path, serve):
    served = serve(Act(cut=CUT), Act(content=OTHER))
    assert_fetched(Archive(url=served.url), tmp_path, OTHER)
    assert ranges(served) == [None, f"bytes={CUT}-"]


@pytest.mark.parametrize(
    "act",
    [
        Act(content=OTHER, if_range=False),
        Act(content=OTHER[: CUT - 1], if_range=False),
        Act(headers={"Content-Range": f"bytes 7-{len(GOOD) - 1}/{len(GOOD)}"}),
        Act(headers={"Content-Range": None}),
    ],
    ids=["another version", "a shorter version", "another start", "no start"],
)
def test_what_does_not_continue_the_part_starts_over(tmp_path, serve, act):
    served = serve(Act(cut=CUT), act)
    assert_fetched(Archive(url=served.url), tmp_path, act.content or GOOD)
    assert ranges(served) == [None, f"bytes={CUT}-", None]


def test_a_wrong_part_is_found_out_and_fetched_anew(tmp_path, serve):
    """As a crash of the machine may leave it: the right version and the wrong bytes."""
    served = serve(Act(cut=CUT), then=Act(status=503))
    refusal(Archive(url=served.url, checksum=SHA256), tmp_path)
    part = tmp_path / "data.tar.gz.part"
    part.write_bytes(bytes(CUT))
    fresh = serve()
    assert_fetched(Archive(url=fresh.url, checksum=SHA256), tmp_path)
    assert ranges(fresh) == [f"bytes={CUT}-", None]


def test_a_later_call_continues_and_verifies_a_part_that_is_already_whole(tmp_path, serve):
    served = serve(Act(headers={"Content-Length": str(len(GOOD) + 1)}), then=Act(status=503))
    archive = Archive(url=served.url, checksum=SHA256)
    assert "HTTP 503" in refusal(archive, tmp_path)
    assert (tmp_path / "data.tar.gz.part").read_bytes() == GOOD
    later = serve()
    assert_fetched(Archive(url=later.url, checksum=SHA256), tmp_path)
    assert ranges(later) == [f"bytes={len(GOOD)}-"]


def test_an_interrupted_process_is_continued_by_the_next(tmp_path, serve):
    served = serve(Act(cut=CUT, silent=True))
    archive = Archive(url=served.url, checksum=SHA256)
    program = "import sys; from pathlib import Path; from pipeline.plumbing.archive import Archive; from pipeline.plumbing.transfer import fetch\n"
    program += "fetch(Archive.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    command = [sys.executable, "-c", program, archive.model_dump_json(), str(tmp_path)]
    part = tmp_path / "data.tar.gz.part"
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=interruptible) as process:
        while process.poll() is None and not (part.exists() and part.stat().st_size):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate()[1]
    received = part.stat().st_size
    assert 0 < received <= CUT
    assert_fetched(archive, tmp_path)
    assert ranges(served) == [None, f"bytes={received}-"]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_passing_failures_are_tried_again(tmp_path, serve, status):
    served = serve(Act(status=status), Act(status=status))
    assert_fetched(Archive(url=served.url, checksum=SHA256), tmp_path)
    assert len(served.requests) == 3


def test_a_silent_server_is_tried_again(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUTS", (600, 2))
    served = serve(Act(silent=True), Act(cut=CUT, silent=True))
    assert_fetched(Archive(url=served.url, checksum=SHA256), tmp_path)
    assert len(served.requests) >= 3  # more where the machine is so busy that a good answer comes too late


def test_waits_grow_and_have_jitter():
    for number, seconds in enumerate([1, 2, 4, 8], start=1):
        waits = {PATIENCE(SimpleNamespace(attempt_number=number)) for _ in range(20)}
        assert len(waits) > 1
        assert all(seconds <= wait <= seconds + 1 for wait in waits)


def test_attempts_wait(tmp_path, serve, monkeypatch):
    waited = []
    monkeypatch.setattr(transfer, "WAIT", lambda state: waited.append(state.attempt_number) or 0)
    fetch(Archive(url=serve(Act(status=503), Act(status=503)).url), tmp_path)
    assert waited == [1, 2]


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (403, 1), (503, transfer.ATTEMPTS)])
def test_a_mirror_is_used_after_the_attempts_its_failure_deserves(tmp_path, serve, status, attempts):
    served, mirror = serve(then=Act(status=status)), serve()
    assert_fetched(Archive(url=served.url, checksum=SHA256, mirrors=[mirror.url]), tmp_path)
    assert (len(served.requests), len(mirror.requests)) == (attempts, 1)


def test_a_mirror_continues_what_another_address_began(tmp_path, serve):
    served, mirror = serve(Act(cut=CUT), then=Act(status=404)), serve()
    assert_fetched(Archive(url=served.url, checksum=SHA256, mirrors=[mirror.url]), tmp_path)
    assert ranges(mirror) == [f"bytes={CUT}-"]


@pytest.mark.parametrize("act", [Act(content=OTHER), Act(headers={"Content-Length": "1000"})], ids=["other", "short"])
def test_a_wrong_checksum_leads_to_the_mirror(tmp_path, serve, act):
    served, mirror = serve(then=act), serve()
    assert_fetched(Archive(url=served.url, checksum=SHA256, mirrors=[mirror.url]), tmp_path)
    assert (len(served.requests), len(mirror.requests)) == (1, 1)


def test_a_wrong_checksum_leaves_nothing(tmp_path, serve):
    served = serve(Act(content=OTHER))
    sentence = refusal(Archive(url=served.url, checksum=SHA256), tmp_path)
    assert f"{served.url}: found sha256:{hashlib.sha256(OTHER).hexdigest()}, expected {SHA256}" in sentence
    assert "correct the address or checksum" in sentence
    assert list(tmp_path.iterdir()) == []


def test_another_size_is_refused_before_the_transfer(tmp_path, serve):
    served = serve()
    sentence = refusal(Archive(url=served.url, size=len(GOOD) + 1), tmp_path)
    assert f"offers {len(GOOD)} bytes, expected {len(GOOD) + 1}" in sentence
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("headers", [{}, {"Content-Length": None}], ids=["announced", "known beforehand"])
def test_a_body_that_always_ends_early_is_refused(tmp_path, serve, headers):
    served = serve(then=Act(cut=CUT, ranges=False, headers=headers))
    sentence = refusal(Archive(url=served.url, size=len(GOOD)), tmp_path)
    assert str(len(GOOD) - CUT) in sentence or f"ended after {CUT} of {len(GOOD)} bytes" in sentence
    assert len(served.requests) == transfer.ATTEMPTS


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_no_more_than_the_known_size_is_written(tmp_path, serve, checksum):
    """Of a body without end, which no Content-Length announces."""
    served = serve(then=Act(surplus=2_000_000, headers={"Content-Length": None}))
    sentence = refusal(Archive(url=served.url, checksum=checksum, size=len(GOOD)), tmp_path)
    assert f"sends more than {len(GOOD)} bytes" in sentence
    assert len(served.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_too_long_when_it_is_continued_is_fetched_anew(tmp_path, serve):
    """The beginning may be of another version."""
    served = serve(Act(cut=CUT), Act(surplus=2_000_000, headers={"Content-Length": None}))
    assert_fetched(Archive(url=served.url), tmp_path)
    assert ranges(served) == [None, f"bytes={CUT}-", None]


@pytest.mark.parametrize("headers", [{"Content-Length": None}, {}], ids=["not announced", "announced"])
def test_a_file_of_unknown_size_has_a_limit(tmp_path, serve, monkeypatch, headers):
    for module in (part, transfer):
        monkeypatch.setattr(module, "LARGEST", len(GOOD) - 1)
    served = serve(then=Act(headers=headers))
    sentence = refusal(Archive(url=served.url, checksum=SHA256), tmp_path)
    assert f"more than {len(GOOD) - 1} bytes; state its `size` if it is that large" in sentence
    assert list(tmp_path.iterdir()) == []
    assert_fetched(Archive(url=served.url, size=len(GOOD)), tmp_path)


def test_a_local_file_has_a_limit_too(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "LARGEST", len(GOOD) - 1)
    source = tmp_path / "data.tar.gz"
    source.write_bytes(GOOD)
    assert "state its `size`" in refusal(Archive(url=source.as_uri()), tmp_path / "raw")
    assert_fetched(Archive(url=source.as_uri(), size=len(GOOD)), tmp_path / "raw")


def test_a_local_file_that_grows_while_it_is_copied_is_refused(tmp_path):
    """As those of /proc, which say that they have no bytes."""
    environment = Path("/proc/self/environ")
    if not environment.exists():
        pytest.skip("no /proc here")
    sentence = refusal(Archive(url=environment.as_uri(), size=1), tmp_path / "raw")
    assert "sends more than 1 bytes" in sentence
    assert list((tmp_path / "raw").iterdir()) == []


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(tmp_path, serve):
    size = 10**18
    served = serve(Act(headers={"Content-Length": str(size)}))
    sentence = refusal(Archive(url=served.url, size=size), tmp_path)
    assert f"{size} bytes are needed on the disk" in sentence
    assert "Make room there" in sentence
    assert len(served.requests) == 1
    assert not (tmp_path / "data.tar.gz.part").stat().st_size


def test_a_file_of_unknown_size_leaves_room_on_the_disk(tmp_path, serve, monkeypatch):
    monkeypatch.setattr(part, "LEFT_FREE", 10**18)
    served = serve(Act(headers={"Content-Length": None}))
    assert "Make room there" in refusal(Archive(url=served.url), tmp_path)
    assert not (tmp_path / "data.tar.gz.part").stat().st_size


def test_a_part_of_a_file_that_nobody_asked_for_in_part_is_not_taken(tmp_path, serve):
    """Before it would come what happens to lie there."""
    (tmp_path / "data.tar.gz.part").write_bytes(b"of an older transfer")
    whole_as_part = {"Content-Range": f"bytes 0-{len(GOOD) - 1}/{len(GOOD)}"}
    served = serve(Act(status=206, headers=whole_as_part))
    assert_fetched(Archive(url=served.url), tmp_path)
    assert ranges(served) == [None, None]


SECRETS = ("SECRETUSER", "SECRETWORD", "SECRETTOKEN", "SECRETMARK", "SECRETOTHER")


def with_secrets(url: str) -> str:
    return url.replace("://", f"://{SECRETS[0]}:{SECRETS[1]}@") + f"?token={SECRETS[2]}#{SECRETS[3]}"


def assert_no_secret(said: str) -> None:
    assert not [secret for secret in SECRETS if secret in said], said


REDIRECTED = with_secrets("http://127.0.0.1:1/other")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (Act(status=404), "HTTP 404"),
        (Act(status=403, reason="no SECRETTOKEN and no SECRETWORD here"), "HTTP 403 no *** and no *** here"),
        (Act(content=OTHER), "found sha256:"),
        (Act(status=302, headers={"Location": REDIRECTED}), "Connection refused"),
        (Act(status=302, headers={"Location": REDIRECTED.replace("http:", "ftp:")}), "ftp://127.0.0.1:1/other"),
        (Act(status=302, headers={"Location": REDIRECTED.replace("127.0.0.1", "[")}), "no address"),
        (Act(status=302, headers={"Location": "http://u:SECRET/WORD@127.0.0.1/"}), "no address"),
        (Act(status=302, headers={"Location": "http://u:SECRETOTHER/x@127.0.0.1:1/a"}), "leads to what is no address"),
        (Act(status=302, headers={"Location": "//u:SECRETOTHER/x@h/a"}), "leads to what is no address"),
        (Act(status=302, headers={"Location": "http://u:SECRETOTHER#x@h:1/"}), "leads to what is no address"),
        (Act(status=302, headers={"Location": "http://SECRETOTHER:SECRETOTHER@"}), "leads to what is no address"),
        (Act(status=302, headers={"Location": f"/files/data.tar.gz?token={SECRETS[2]}"}), "30 redirects"),
    ],
    ids=[
        "status",
        "reason",
        "checksum",
        "dead",
        "scheme",
        "brackets",
        "port",
        "slash",
        "no scheme",
        "hash",
        "no host",
        "loop",
    ],
)
def test_no_secret_of_an_address_is_told(tmp_path, serve, act, words):
    served = serve(then=act)
    sentence = refusal(Archive(url=with_secrets(served.url), checksum=SHA256), tmp_path)
    assert f"({served.url}: " in sentence
    assert words in sentence
    assert_no_secret(sentence)
    assert_no_secret(" ".join(map(str, tmp_path.rglob("*"))))


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
@pytest.mark.parametrize(
    "proxy",
    [
        "http://SECRETUSER:SECRETWORD/x@127.0.0.1:1",
        "http://u:SECRETWORD#x@127.0.0.1:1",
        "u:SECRETWORD/x@127.0.0.1:1",
        "http://SECRETUSER:SECRETWORD@",
        "http://:SECRETWORD@[::1",
        "http://u:SECRETWORD@127.0.0.1:port",
    ],
)
def test_a_proxy_that_is_no_address_is_told_without_its_password(tmp_path, monkeypatch, variable, proxy):
    monkeypatch.setenv(variable, proxy)
    monkeypatch.setenv("no_proxy", "elsewhere")
    sentence = refusal(Archive(url="http://files.invalid/data.tar.gz"), tmp_path)
    assert f"{variable} in the environment is no address; make it one as http://localhost:8080 is, with" in sentence
    assert_no_secret(sentence)


def test_no_secret_of_a_proxy_is_told(tmp_path, monkeypatch):
    """Of one that is an address, and where nobody listens."""
    for scheme in ("http", "socks9"):
        monkeypatch.setenv("http_proxy", f"{scheme}://SECRETUSER:SECRETWORD@127.0.0.1:1")
        assert_no_secret(refusal(Archive(url="http://files.invalid/data.tar.gz"), tmp_path))


def test_no_secret_of_an_address_is_told_when_no_server_is_there_or_all_is_well(tmp_path, serve, capfd, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert_no_secret(refusal(Archive(url=with_secrets("http://127.0.0.1:1/data.tar.gz")), tmp_path))
    monkeypatch.setattr(sys, "stderr", Terminal())
    archive = Archive(url=with_secrets(serve().url), checksum=SHA256)
    for _ in range(2):  # the second time it is in place
        fetch(archive, tmp_path)
    assert "data.tar.gz: 100%" in sys.stderr.getvalue()
    assert_no_secret(sys.stderr.getvalue() + "".join(capfd.readouterr()))


def test_user_and_query_reach_the_server_all_the_same(tmp_path, serve):
    served = serve()
    assert_fetched(Archive(url=with_secrets(served.url), checksum=SHA256), tmp_path)
    assert served.requests[0].path.endswith("?token=SECRETTOKEN")
    login = served.requests[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(login) == b"SECRETUSER:SECRETWORD"


@pytest.mark.parametrize("status", [404, 503])
def test_control_characters_of_a_server_are_escaped(tmp_path, serve, status):
    served = serve(then=Act(status=status, reason="\x1b[2J\x07\x85" + "long " * 1000))
    sentence = refusal(Archive(url=served.url), tmp_path)
    assert rf"HTTP {status} \x1b[2J\x07\x85long" in sentence
    assert sentence.isprintable()
    assert len(sentence) < 1000


def test_when_all_addresses_fail_each_is_listed_with_its_reason(tmp_path, serve):
    addresses = [serve(then=Act(status=404)).url, serve(then=Act(status=503)).url]
    addresses += ["http://127.0.0.1:1/data.tar.gz", (tmp_path / "absent").as_uri()]
    sentence = refusal(Archive(url=addresses[0], mirrors=addresses[1:]), tmp_path / "raw")
    reasons = ["HTTP 404 Not Found", "HTTP 503 Service Unavailable", "Connection refused", "no such file"]
    assert all(f"{address}: " in sentence for address in addresses)
    assert all(reason in sentence for reason in reasons)
    assert f"put the file at {tmp_path / 'raw' / 'data.tar.gz'} by hand" in sentence


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/data", "/files/data.tar.gz"])
def test_a_redirection_that_leads_nowhere_is_refused(tmp_path, serve, location):
    served = serve(then=Act(status=302, headers={"Location": location}))
    assert served.url in refusal(Archive(url=served.url), tmp_path)


def test_a_wrong_local_file_is_refused(tmp_path):
    (tmp_path / "other.tar.gz").write_bytes(OTHER)
    sentence = refusal(Archive(url=(tmp_path / "other.tar.gz").as_uri(), checksum=MD5), tmp_path / "raw")
    assert f"expected {MD5}" in sentence
    assert list((tmp_path / "raw").iterdir()) == []


def test_trouble_with_the_disk_is_told_as_such(tmp_path, serve):
    (tmp_path / "raw").write_bytes(b"a file where the directory should be")
    with pytest.raises(UserError, match=r"raw/data\.tar\.gz: .*Make room there"):
        fetch(Archive(url=serve().url), tmp_path / "raw")


def test_a_terminal_shows_bytes_rate_and_time_left(tmp_path, serve, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    fetch(Archive(url=serve().url), tmp_path)
    shown = sys.stderr.getvalue()
    assert "data.tar.gz: 100%" in shown
    assert "293k/293k [00:00<00:00," in shown
    assert "B/s]" in shown


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"url": "ftp://host/a.zip"}, ["url", "'ftp://host/a.zip'", "https://HOST/PATH"]),
        ({"url": "a.zip"}, ["url", "'a.zip'", "file:///PATH"]),
        ({"url": "https:///a.zip"}, ["url", "https://HOST/PATH"]),
        ({"url": "file://host/a.zip"}, ["url", "file:///PATH"]),
        ({"url": "https://host/data/"}, ["url", "file name, not ''"]),
        ({"url": "https://host/a%2Fb"}, ["url", "file name, not 'a/b'"]),
        ({"url": "https://host/a%5Cb"}, ["url", "file name"]),
        ({"url": "https://host/%2e%2e"}, ["url", "file name, not '..'"]),
        ({"url": "https://host/a%00"}, ["url", "file name"]),
        ({"url": "https://host/a", "mirrors": ["host/a"]}, ["mirrors.0", "'host/a'", "https://HOST/PATH"]),
        ({"url": "https://host/a", "checksum": "md5:123"}, ["checksum", "'md5:123'", "'md5:' and 32"]),
        ({"url": "https://host/a", "checksum": SHA256[7:]}, ["checksum", "'sha256:' and 64 hexadecimal digits"]),
        ({"url": "https://host/a", "size": 0}, ["size", "greater than 0"]),
        ({"url": "https://host:port/a"}, ["url", "https://HOST/PATH"]),
        ({"url": "https://[host/a"}, ["url", "https://HOST/PATH"]),
    ],
)
def test_a_mistake_in_the_description_is_one_clear_sentence(block, words):
    with pytest.raises(UserError) as error:
        Archive.read(block, "camvid")
    assert str(error.value).startswith("camvid.")
    assert all(word in str(error.value) for word in words), str(error.value)


def test_the_file_name_has_no_query_and_no_percent_signs():
    assert Archive(url="https://host/data/a%20b.zip?download=1#top").filename == "a b.zip"
