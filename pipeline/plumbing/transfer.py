"""Transfers that end with a verified file or with nothing under its name: continued, retried, taken from mirrors."""

from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from urllib3.exceptions import HTTPError, LocationValueError

from pipeline.plumbing.archive import LARGEST, Archive
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import file_digest
from pipeline.plumbing.messages import shown, told
from pipeline.plumbing.part import Broken, Part, Refused, too_much

ATTEMPTS = 5  # at each address
WAIT = wait_exponential_jitter(initial=1, max=30)  # seconds between attempts
TIMEOUTS = (10, 60)  # seconds to connect, seconds without a byte
NO_ADDRESS = "leads to what is no address, or a header is no number"  # the words of libraries may hold a password
CHUNK = 2**16  # bytes; what a broken connection may lose


def fetch(archive: Archive, directory: Path) -> Path:
    """The verified file `directory/filename`, transferred unless it is already there.

    A broken transfer stays as `filename.part` and is continued, also by a later call. A file that is already there is
    never overwritten. Raises UserError if that file is another one, if no address gives the file, or if the disk fails
    or has no room. More than the known size is never written, nor more than LARGEST where no size is known.
    """
    final = directory / archive.filename
    try:
        if not final.exists():
            directory.mkdir(parents=True, exist_ok=True)
            _try_addresses(archive, final)
        elif mismatch := _mismatch(final, archive):
            advice = "Delete the file to fetch it again, or correct the checksum or size."
            raise UserError(f"{final}: {mismatch}. {advice}")
        else:
            print(f"{final}: in place, {archive.checksum or 'no checksum known'}; nothing to transfer")
    except OSError as failure:
        raise UserError(f"{final}: {failure}. Make room there, or make it readable and writable.") from failure
    return final


def _mismatch(path: Path, archive: Archive) -> str | None:
    """How a complete file differs from the expected one; a known checksum decides alone."""
    if archive.checksum:
        algorithm = archive.checksum.partition(":")[0]
        found, expected = f"{algorithm}:{file_digest(path, algorithm)}", archive.checksum
    else:
        found, expected = f"{path.stat().st_size} bytes", archive.size and f"{archive.size} bytes"
    return None if expected in (None, found) else f"found {found}, expected {expected}"


def _try_addresses(archive: Archive, final: Path) -> None:
    passing = retry_if_exception_type(Broken)
    retrying = Retrying(stop=stop_after_attempt(ATTEMPTS), wait=WAIT, retry=passing, reraise=True)
    part = Part(final)
    addresses, reasons = [archive.url, *archive.mirrors], []
    for address in addresses:
        try:
            retrying(_attempt, address, part, archive)
        except Refused as reason:
            reasons.append(f"{shown(address)}: {told(reason, *addresses)}")
        else:
            part.path.replace(final)
            return part.discard()
    advice = f"Run again to continue, correct the address or checksum, or put the file at {final} by hand."
    raise UserError(f"{final}: no address gives this file ({'; '.join(reasons)}). {advice}")


def _attempt(address: str, part: Part, archive: Archive) -> None:
    """One try at a whole and verified part file."""
    transfer = _copy if urlsplit(address).scheme == "file" else _receive
    continued = transfer(address, part, archive)
    if mismatch := _mismatch(part.path, archive):
        part.discard()
        # Continued bytes may be of another version or from a crash; only a file of one piece condemns its address.
        raise (Broken if continued else Refused)(mismatch)


def _copy(address: str, part: Part, archive: Archive) -> bool:
    path = Path(url2pathname(urlsplit(address).path))
    if not path.is_file():
        raise Refused("no such file")
    total = _total(path.stat().st_size, archive)
    part.start_over(None)
    with path.open("rb") as source:
        part.append(iter(partial(source.read, CHUNK), b""), archive.filename, total)
    return False


def _receive(address: str, part: Part, archive: Archive) -> bool:
    """Stream the body into the part file. True if that continued what an earlier attempt had left."""
    _check_proxies(address)
    have, validator = part.received()
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        with requests.get(address, headers=headers, stream=True, timeout=TIMEOUTS) as answer:
            total = _prepare(part, answer, archive)
            if answer.status_code != 416:
                # Undecoded: where a .tar.gz is labelled "Content-Encoding: gzip", the file is the compressed bytes.
                part.append(answer.raw.stream(CHUNK, decode_content=False), archive.filename, total)
            return answer.status_code != 200
    except (requests.exceptions.InvalidURL, LocationValueError) as failure:  # each is also one of those below
        raise Refused(NO_ADDRESS) from failure
    except (requests.ConnectionError, requests.Timeout, HTTPError) as failure:
        raise Broken(_root_cause(failure)) from failure
    except requests.RequestException as failure:
        raise Refused(failure) from failure
    except ValueError as failure:
        raise Refused(NO_ADDRESS) from failure


def _check_proxies(address: str) -> None:
    """Raise Refused for a proxy that requests would end on with a TypeError, or tell with its password."""
    for scheme, proxy in requests.utils.get_environ_proxies(address).items():
        try:
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            good = parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if not good and scheme in ("http", "https", "all"):
            cure = "make it one as http://localhost:8080 is, with %2F, %23 and %3F for / # and ? in a password"
            raise Refused(f"{scheme}_proxy in the environment is no address; {cure}")


def _prepare(part: Part, answer: requests.Response, archive: Archive) -> int | None:
    """Make the part file one that the body continues, or that is whole (416). The total size in bytes, if known."""
    status, validator = answer.status_code, _validator(answer)
    if status == 200:
        total = _total(answer.raw.length_remaining, archive)
        part.start_over(validator)
        return total
    if status not in (206, 416):
        raise (Broken if status == 429 or status >= 500 else Refused)(f"HTTP {status} {answer.reason}")
    have, remembered = part.received()
    content_range = answer.headers.get("Content-Range", "")  # bytes FIRST-LAST/TOTAL, with 416 bytes */TOTAL
    size = content_range.rpartition("/")[2]
    total = _total(int(size) if size.isdecimal() else None, archive)
    fits = have and content_range.startswith(f"bytes {have}-") if status == 206 else total == have
    if not fits or validator not in (None, remembered):
        part.discard()
        raise Broken("the part received before does not fit this file")
    return total


def _total(announced: int | None, archive: Archive) -> int | None:
    if announced and archive.size and announced != archive.size:
        raise Refused(f"offers {announced} bytes, expected {archive.size}")
    if announced and not archive.size and announced > LARGEST:
        raise Refused(f"offers {too_much()}")
    return announced or archive.size


def _validator(answer: requests.Response) -> str | None:
    """What names this version of the file; If-Range takes no weak ETag (RFC 9110, section 13.1.5)."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified")


def _root_cause(failure: BaseException) -> str:
    """The first of the chained errors: "Connection refused" says more than the layers around it."""
    while failure.__context__:
        failure = failure.__context__
    return str(failure) or type(failure).__name__
