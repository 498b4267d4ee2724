"""Files out of an archive (zip, wheel, tar.gz), in memory: nothing is ever unpacked."""

import tarfile
import zipfile
import zlib
from io import BytesIO

from instructgpt_lite.data.records import DataError

MOST = 1 << 28      # bytes; a larger file in an archive is a mistake or an attack


def files_in(archive: bytes, name: str, ending: str = "") -> dict[str, bytes | None]:
    """The files of a zip or tar whose path ends with `ending`, the first one's bytes
    read.

    name: what errors call the archive. DataError when it is no archive, is cut short,
    or that file has more than MOST bytes.
    """
    try:
        found = (_of_zip if zipfile.is_zipfile(BytesIO(archive)) else _of_tar)(
            BytesIO(archive), ending)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error,
            RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{name}: got {len(archive):,} bytes that are no whole zip or "
                        f"tar.gz ({why}); download it again") from None
    for path, data in found.items():
        if data and len(data) > MOST:
            raise DataError(f"{name}: got {path} of more than {MOST:,} bytes; is it "
                            "the right archive? Unpack it, if so")
    return found


def file_in(archive: bytes, ending: str, name: str) -> bytes | None:
    """The first file whose path ends with `ending`; None if there is none."""
    return next(iter(files_in(archive, name, ending).values()), None)


def _of_zip(file: BytesIO, ending: str) -> dict[str, bytes | None]:
    found = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith(ending) and not member.is_dir():
                with archive.open(member) as opened:
                    found[member.filename] = None if found else opened.read(MOST + 1)
    return found


def _of_tar(file: BytesIO, ending: str) -> dict[str, bytes | None]:
    found = {}
    with tarfile.open(fileobj=file) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(ending):
                opened = archive.extractfile(member)
                found[member.name] = None if found else opened.read(MOST + 1)
    return found
