"""Pretrained weights: from the cache of the Hugging Face Hub, and from the network only where they are not in it.

Trainings that begin at once then do not all ask for the same, and none waits for a network that it does not need.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlsplit

import torch
from huggingface_hub import constants, get_session
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import SafetensorError

from pipeline.plumbing.errors import UserError, disk_fault

T = TypeVar("T")
PATIENCE = 10.0  # seconds for a host to answer; left to itself, the library asks it twelve times, for most of a minute


def with_weights(make: Callable[[], T], encoder: str) -> T:
    """What `make` returns, which loads the pretrained weights of `encoder`. It may be called twice, but draws from
    torch's generator as if it were called once.

    Raises UserError where there are no weights in the cache and none come.
    """
    generator = torch.get_rng_state()
    try:
        with _cache_alone():
            return make()
    except LocalEntryNotFoundError:
        torch.set_rng_state(generator)
    except SafetensorError as error:
        raise UserError(
            f"The pretrained weights of encoder '{encoder}' in {constants.HF_HUB_CACHE} are damaged ({error}); delete "
            "their folder there, and they are fetched anew."
        ) from None
    _check_host(encoder)
    try:
        return make()
    except OSError as error:  # all errors of the library are of this type
        if disk_fault(error):
            raise
        cause = error.__cause__ or error
        response = getattr(cause, "response", None)
        reason = _first_line(cause) if response is None else f"status {response.status_code}"
        raise _unavailable(encoder, reason) from None


@contextmanager
def _cache_alone() -> Iterator[None]:
    """The library asks no network, as under HF_HUB_OFFLINE, which it reads only once."""
    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _check_host(encoder: str) -> None:
    """One question, before the library asks many times; any answer will do but that of a server out of order."""
    try:
        status = get_session().head(constants.ENDPOINT, timeout=PATIENCE).status_code
    except Exception as error:  # of whatever HTTP library the hub's uses
        raise _unavailable(encoder, _first_line(error)) from None
    if status >= 500:
        raise _unavailable(encoder, f"status {status}")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _unavailable(encoder: str, reason: str) -> UserError:
    host = urlsplit(constants.ENDPOINT).hostname
    reason = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{host} does not give them: {reason}"
    return UserError(
        f"The pretrained weights of encoder '{encoder}' are not in {constants.HF_HUB_CACHE}, and {reason}. Connect "
        "this machine, or copy that folder from one that has them (HF_HOME says where it lies), or set `weights: null`."
    )
