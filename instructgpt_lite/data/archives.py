"""One file out of an archive (zip, wheel, tar.gz), read into memory: nothing is ever unpacked to the disk."""

import tarfile
import zipfile
import zlib
from io import BytesIO

from instructgpt_lite.data.records import DataError

MOST = 1 << 26                        # bytes; a larger file in an archive is a mistake or an attack


def file_in(archive: bytes, ending: str, name: str) -> bytes | None:
    """The first file whose path ends with `ending`; None if there is none.

    name: what errors call the archive. DataError when it is no archive, cut short, or its file too large.
    """
    try:
        if zipfile.is_zipfile(BytesIO(archive)):
            data = _from_zip(BytesIO(archive), ending)
        else:
            data = _from_tar(BytesIO(archive), ending)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error, RuntimeError) as error:
        raise DataError(f"{name}: got {len(archive):,} bytes that are no whole zip or tar.gz ({error}), "
                        "expected an archive; download it again") from None
    if data is not None and len(data) > MOST:
        raise DataError(f"{name}: got a file *{ending} of more than {MOST:,} bytes, expected less; is it the "
                        "right archive?")
    return data


def _from_zip(file: BytesIO, ending: str) -> bytes | None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith(ending):
                with archive.open(member) as opened:
                    return opened.read(MOST + 1)
    return None


def _from_tar(file: BytesIO, ending: str) -> bytes | None:
    with tarfile.open(fileobj=file) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(ending):
                return archive.extractfile(member).read(MOST + 1)
    return None
