"""A file out of an archive (zip, wheel, tar.gz), in memory: none is ever unpacked."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import IO

from instructgpt_lite.data.records import DataError

MOST = 1 << 28      # bytes; what unpacks to more is a mistake or an attack


def file_in(archive: bytes, ending: str, name: str) -> bytes | None:
    """The first file whose path ends with `ending`; None if there is none.

    name: what errors call the archive. DataError when it is no archive, is cut short,
    or that file has more than MOST bytes.
    """
    return next((data for _, data in all_in(archive, ending, name)), None)


def all_in(archive: bytes, ending: str, name: str) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each such file, in the archive's order; errors as `file_in`."""
    try:
        for path, file in _files(BytesIO(archive)):
            if path.endswith(ending):
                data = file.read(MOST + 1)
                if len(data) > MOST:
                    raise DataError(f"{name}: got {path} of more than {MOST:,} bytes; "
                                    "is it the right archive? Unpack it, if so")
                yield path, data
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error,
            RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{name}: got {len(archive):,} bytes that are no whole zip or "
                        f"tar.gz ({why}); download it again") from None


def _files(archive: BytesIO) -> Iterator[tuple[str, IO[bytes]]]:
    """Paths and files of a zip or a tar; links and folders are none."""
    if zipfile.is_zipfile(archive):
        found = zipfile.ZipFile(archive)
        yield from ((path, found.open(path)) for path in found.namelist())
    else:
        archive.seek(0)
        found = tarfile.open(fileobj=archive)
        yield from ((each.name, found.extractfile(each)) for each in found
                    if each.isfile())
