"""OME-Zarr images behind an address: http(s):// and s3://, read as far as they are looked at."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore

from napari_histoaug.slides.errors import SlideError
from napari_histoaug.slides.slide import Slide

if TYPE_CHECKING:
    from napari_histoaug.slides.zarr_reader import ZarrReader

_SCHEMES = ("http", "https", "s3")
_CONNECT_SECONDS, _READ_SECONDS = 10, 60


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Tell whether this is an address (``https://...``) and not a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", os.fspath(path)) is not None


def open_remote(address: str, mpp: tuple[float, float] | None = None) -> RemoteSlide:
    """Open an OME-Zarr image (0.4 or 0.5) by its address.

    Parameters
    ----------
    address : str
        ``https://``, ``http://`` or ``s3://`` address of the folder with ``zarr.json`` or
        ``.zattrs``.
    mpp : (y, x), optional
        Micrometres per pixel of level 0, overriding what the image says.

    Raises
    ------
    SlideError
        When the extra ``remote`` is not installed, the address cannot be reached or there is no
        OME-Zarr image.
    """
    from napari_histoaug.slides.zarr_reader import ZarrReader

    address = address.rstrip("/")
    name = PurePosixPath(urlsplit(address).path).name or urlsplit(address).netloc
    store = _open_store(address, name)
    # A folder that cannot exist: what wants to write beside the slide has to look elsewhere.
    path = Path(os.devnull) / name
    with _as_sentences(name):
        group = zarr.open_group(store, mode="r")
        reader = ZarrReader(path, store)
        documents = _documents(group, reader)
    return RemoteSlide(address, path, reader, documents, mpp)


class RemoteSlide(Slide):
    """A slide behind an address.

    It is known by its address and its metadata documents, since hashing its pixels would download
    all of them: ``sha256()`` and the ids made of it are those of these two.

    Attributes
    ----------
    address : str
        Where it is; for the screen only.
    """

    def __init__(
        self,
        address: str,
        path: Path,
        reader: ZarrReader,
        documents: bytes,
        mpp: tuple[float, float] | None,
    ) -> None:
        super().__init__(path, reader, mpp)
        self.address = address
        self._sha256 = hashlib.sha256(address.encode() + b"\n" + documents).hexdigest()

    @property
    def fingerprint(self) -> tuple[str, int, int]:
        """Address, a number that stands for the metadata documents, and 0."""
        return self.address, int(self.sha256()[:15], 16), 0

    def __reduce__(self) -> tuple[Any, ...]:
        return open_remote, (self.address, self._given_mpp)


class _Network(FsspecStore):
    """zarr's store over fsspec, whose networks' own errors come as OSError."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        try:
            return await super().get(key, prototype, byte_range)
        except _network_errors() as error:
            raise OSError(_reason(error)) from error


def _open_store(address: str, name: str) -> FsspecStore:
    scheme = urlsplit(address).scheme.lower()
    if scheme not in _SCHEMES:
        raise SlideError(
            f"{name} is at a {scheme}:// address, which cannot be opened; "
            "use https://, http:// or s3://, or a path."
        )
    options: dict[str, Any] = {}
    try:
        if scheme == "s3":
            importlib.import_module("s3fs")
        else:
            aiohttp = importlib.import_module("aiohttp")
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS
            )
            options["client_kwargs"] = {"timeout": timeout}
        return _Network.from_url(address, options, read_only=True)
    except ImportError as error:
        raise SlideError(
            f"Reading {name} over the network needs more packages; install them with: "
            'pip install "napari-histoaug[remote]".'
        ) from error


@contextmanager
def _as_sentences(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise SlideError(
            f"There is no OME-Zarr image at the address of {name}; give the address of the folder "
            "that holds its zarr.json or .zattrs."
        ) from error
    except OSError as error:
        raise SlideError(
            f"{name} cannot be reached ({error}); check the address and the network."
        ) from error


def _documents(group: zarr.Group, reader: ZarrReader) -> bytes:
    arrays = [array.metadata.to_dict() for array in reader.arrays]
    return json.dumps([dict(group.attrs), arrays], sort_keys=True, default=str).encode()


def _network_errors() -> tuple[type[Exception], ...]:
    """Return the errors of the network libraries that are there."""
    found: list[type[Exception]] = [TimeoutError]
    for module, name in (("aiohttp", "ClientError"), ("botocore.exceptions", "BotoCoreError")):
        try:
            found.append(getattr(importlib.import_module(module), name))
        except ImportError:
            continue
    return tuple(found)


def _reason(error: Exception) -> str:
    """Return one short line: the address in aiohttp's own words may hold a password."""
    status = getattr(error, "status", None)
    if status is not None:
        return f"the server answers {status}"
    return getattr(error, "strerror", None) or type(error).__name__
