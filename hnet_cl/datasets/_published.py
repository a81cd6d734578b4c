"""Published files at an address: fetched where they are missing, refused where they are not the published ones."""

from collections.abc import Mapping
from pathlib import Path

from hnet_cl.core.errors import UserError
from hnet_cl.datasets._fetch import Source, fetch, from_url, md5_of


def fetched_from(address: str, into: Path, checksums: Mapping[str, str], dataset: str) -> str:
    """Downloads the files `address`/NAME, given by name with their MD5, into a folder; returns where from.

    Args:
        address: an https address.
        into: the folder.
        checksums: MD5 of each file, by its name.
        dataset: name of the dataset, for the message.

    Raises:
        UserError: they cannot be fetched; the message says where to get them and where to put them.
    """

    def download(folder: Path) -> Path:
        for name in checksums:
            from_url(f"{address}/{name}", folder)
        return folder

    try:
        return fetch(into, [Source(address, download, into, checksums)]).origin
    except ConnectionError as failure:
        them, where = ("it", f"{address}/{next(iter(checksums))}") if len(checksums) == 1 else ("them", address)
        raise UserError(
            f"dataset={dataset}: {', '.join(checksums)} cannot be found in {into} nor fetched ({failure}); get {them} "
            f"from {where} and put {them} there, or set data_dir (or HNET_CL_DATA) to the data folder that has {them}"
        ) from failure


def verify(path: Path, checksum: str) -> None:
    """Checks that a file has the published MD5.

    Raises:
        UserError: it has another one, or cannot be read.
    """
    try:
        found = md5_of(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): make it readable, or remove it") from error
    require(found, checksum, path)


def require(found: str, checksum: str, path: Path) -> None:
    """Compares the MD5 found for a file with the published one.

    Raises:
        UserError: they differ.
    """
    if found != checksum:
        raise UserError(
            f"{path} is damaged: its MD5 is {found} and must be {checksum}; delete it to have it fetched again"
        )
