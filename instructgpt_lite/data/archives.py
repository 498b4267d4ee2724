"""A file out of an archive (zip, wheel, tar.gz), in memory: none is ever unpacked."""

import tarfile
import zipfile
import zlib
from io import BytesIO

from instructgpt_lite.data.records import DataError

MOST = 1 << 28      # bytes; what unpacks to more is a mistake or an attack


def file_in(archive: bytes, ending: str, name: str) -> bytes | None:
    """The first file whose path ends with `ending`; None if there is none.

    name: what errors call the archive. DataError when it is no archive, is cut short,
    or that file has more than MOST bytes.
    """
    try:
        if zipfile.is_zipfile(BytesIO(archive)):
            path, data = _of_zip(archive, ending)
        else:
            path, data = _of_tar(archive, ending)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, zlib.error,
            RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise DataError(f"{name}: got {len(archive):,} bytes that are no whole zip or "
                        f"tar.gz ({why}); download it again") from None
    if data and len(data) > MOST:
        raise DataError(f"{name}: got {path} of more than {MOST:,} bytes; is it the "
                        "right archive? Unpack it, if so")
    return data


def _of_zip(archive: bytes, ending: str) -> tuple[str, bytes | None]:
    with zipfile.ZipFile(BytesIO(archive)) as opened:
        for path in opened.namelist():
            if path.endswith(ending):
                with opened.open(path) as file:
                    return path, file.read(MOST + 1)
    return "", None


def _of_tar(archive: bytes, ending: str) -> tuple[str, bytes | None]:
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        for member in opened:
            if member.isfile() and member.name.endswith(ending):
                return member.name, opened.extractfile(member).read(MOST + 1)
    return "", None
