"""Ratings by people: an archive in the form of the real one, made here, and rankings drawn from it."""

import io
import os
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from instructgpt_lite.data import archives
from instructgpt_lite.data.archives import file_in
from instructgpt_lite.data.curation import check_leakage, split_by_text
from instructgpt_lite.data.ratings import Rated, drawn_rankings, read_ratings
from instructgpt_lite.data.records import DataError

FILES = {
    "tweets_GroundTruth.txt": "1\t2.5\tCaf\xe9 is great!\r\n2\t-9\tSo \x93sad\x94 :(".encode("latin-1"),
    "tweets_anonDataRatings.txt": b"1\t2.5\t0.5\t[2, 3]\r\n2\t-2.0\t1.0\t[-1, -3, -2]",
    "movieReviewSnippets_GroundTruth.txt": "\ufeff1\t0.5\tNa\u00efve, but fine.\r\n".encode(),
    "movieReviewSnippets_anonDataRatings.txt": "\ufeff1\t0.5\t0.5\t[0, 1]\r\n".encode(),
    "amazonReviewSnippets_GroundTruth.txt": b"1_10\t1.0\ttenth\r\n1_2\t-4.0\tsecond",
    "amazonReviewSnippets_anonDataRatings.txt": b"1_2\t-4.0\t0.0\t[-4, -4]\r\n1_10\t1.0\t0.0\t[1, 1, 1]",
    "nytEditorialSnippets_GroundTruth.txt": b"1_1\t0.333333333\tan editorial",
    "nytEditorialSnippets_anonDataRatings.txt": b"1_1\t0.33333\t0.5\t[0, 0, 1]",
}


def tar(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def package(path, files=FILES, form="zip"):
    """The source package: the study's tar.gz inside a zip or a tar.gz."""
    study = tar({f"hutto_ICWSM_2014/{name}": content for name, content in files.items()})
    inside = {f"vaderSentiment-0.5/{name}": content for name, content in
              {"setup.py": b"", "additional_resources/hutto_ICWSM_2014.tar.gz": study}.items()}
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in inside.items():
                archive.writestr(name, content)
    else:
        path.write_bytes(tar(inside) if form == "tar" else study)
    return path


@pytest.mark.parametrize("form", ["zip", "tar", "study"])
def test_all_texts_are_read_with_their_own_ratings(tmp_path, form):
    assert read_ratings(package(tmp_path / "package", form=form)) == [
        Rated("Caf\xe9 is great!", (2, 3), "tweets"), Rated("So \x93sad\x94 :(", (-1, -3, -2), "tweets"),
        Rated("Na\u00efve, but fine.", (0, 1), "movieReviewSnippets"),
        Rated("second", (-4, -4), "amazonReviewSnippets"), Rated("tenth", (1, 1, 1), "amazonReviewSnippets"),
        Rated("an editorial", (0, 0, 1), "nytEditorialSnippets")]
    assert [path.name for path in tmp_path.iterdir()] == ["package"]          # nothing is unpacked


@pytest.mark.parametrize("row", [b"1\t1.5\t0.5\t[2, 3]", b"1\t2.5\t0.5\t[2, 2.5, 3]", b"1\t4.5\t0.5\t[4, 5]",
                                 b"1\t2.5\t0.5\t[2, 3", b"1\t2.5\t0.5", b"1\tx\t0.5\t[2, 3]",
                                 b"1\t2.0\t0.5\t[2]", b"1\t0.5\t0.5\t[true, false]", b"1\t2.5\t0.5\t5",
                                 b"9\t2.5\t0.5\t[2, 3]"])
def test_a_bad_row_is_named_by_file_and_line(tmp_path, row):
    bad = FILES | {"tweets_anonDataRatings.txt": row + b"\r\n\r\n2\t0.0\t1.0\t[-1, -3, -2]"}
    with pytest.raises(DataError, match="2 of 6 rated texts are bad") as caught:
        read_ratings(package(tmp_path / "p.zip", bad))
    assert caught.value.faults[0].startswith("tweets_anonDataRatings.txt:1: ")
    assert caught.value.faults[1].startswith("tweets_anonDataRatings.txt:3: ratings: got ")


def test_a_file_that_is_missing_or_in_another_encoding_is_named(tmp_path):
    short = {name: content for name, content in FILES.items() if "amazon" not in name}
    with pytest.raises(DataError, match="no amazonReviewSnippets_GroundTruth.txt.* pip download"):
        read_ratings(package(tmp_path / "a.zip", short))
    bad = FILES | {"movieReviewSnippets_GroundTruth.txt": b"1\t0.5\t\xe9"}
    with pytest.raises(DataError, match="movie.*GroundTruth.txt: got bytes that are not utf-8-sig at byte 6"):
        read_ratings(package(tmp_path / "b.zip", bad))


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_half_an_archive_or_none_is_said_to_be_so(tmp_path, form):
    path = package(tmp_path / "p", form=form)
    path.write_bytes(path.read_bytes()[:-150] if form == "tar" else b"<html>404</html>")
    with pytest.raises(DataError, match="no whole zip or tar.gz"):
        read_ratings(path)


def test_a_link_or_a_folder_of_the_name_is_not_the_file():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, kind in (("a/small", tarfile.SYMTYPE), ("b/small", tarfile.DIRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    assert file_in(data.getvalue(), "small", "a") is None


@pytest.mark.parametrize("pack", ["zip", "tar"])
def test_a_file_that_unpacks_to_more_than_allowed_is_refused(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(archives, "MOST", 1_000)
    if pack == "tar":
        data = tar({"big": bytes(1_001), "small": bytes(1_000)})
    else:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("big", bytes(1_001))
            archive.writestr("small", bytes(1_000))
        data = buffer.getvalue()
    assert len(file_in(data, "small", "a")) == 1_000 and file_in(data, "none", "a") is None
    with pytest.raises(DataError, match="a: got big of more than 1,000 bytes"):
        file_in(data, "big", "a")


RATED = [Rated(f"text {n}", tuple(range(n % 4, n % 4 + 3))) for n in range(200)]


def test_every_text_is_ranked_once_a_pass_in_groups_of_4_to_9():
    rankings = drawn_rankings(RATED, passes=3, seed=1)
    used = Counter(text for ranking in rankings for text in ranking.completions)
    sizes = Counter(len(ranking.ranks) for ranking in rankings)
    assert max(used.values()) <= 3 and sum(used.values()) > 3 * 200 * 0.9
    assert set(sizes) <= set(range(4, 10)) and len(sizes) == 6


def test_ranks_follow_one_rating_of_each_text():
    sharp = [Rated(f"text {n}", (n % 9 - 4, n % 9 - 4)) for n in range(60)]          # all raters say the same
    rankings = drawn_rankings(sharp, seed=2)
    for ranking in rankings:
        places = ranking.key["rated"]
        assert ranking.completions == tuple(sharp[place].text for place in places)
        ratings = [sharp[place].ratings[0] for place in places]
        better = [len({other for other in ratings if other > rating}) for rating in ratings]
        assert [rank - 1 for rank in ranking.ranks] == better
    assert sum(len(ranking.ranks) for ranking in rankings) > 50


def test_another_pass_draws_other_ratings():
    split = [Rated(f"text {n}", (-4, 4)) for n in range(8)]
    best = [text for ranking in drawn_rankings(split, passes=200, K_min=8) for text, rank in
            zip(ranking.completions, ranking.ranks) if rank == 1]
    assert set(Counter(best)) == {one.text for one in split}
    assert all(80 < count < 140 for count in Counter(best).values())


def test_a_group_in_which_all_tie_is_no_ranking_and_a_text_stands_in_it_once():
    assert drawn_rankings([Rated(f"text {n}", (1, 1)) for n in range(50)], passes=3) == []
    twice = [Rated("same", (4, 4)), Rated("same", (-4, -4)), Rated("other", (0, 0)), Rated("third", (1, 1))]
    assert all(len(set(ranking.completions)) == 3 for ranking in drawn_rankings(twice, passes=20))


def test_equal_seeds_draw_the_same_rankings():
    assert drawn_rankings(RATED, seed=3) == drawn_rankings(RATED, seed=3) != drawn_rankings(RATED, seed=4)


def test_writings_of_one_text_are_on_one_side_and_the_sides_are_of_the_asked_sizes():
    rated = RATED + [Rated(one.text.upper() + " ", one.ratings) for one in RATED]
    train, heldout = split_by_text(rated, lambda one: one.text, 0.3, seed=1)
    sides = [{one.text.casefold().strip() for one in side} for side in (train, heldout)]
    assert len(train) + len(heldout) == 400 and not sides[0] & sides[1]
    assert abs(len(sides[1]) - 60) < 26              # 4 standard deviations
    assert split_by_text(rated, lambda one: one.text, 0.3, seed=2)[1] != heldout
    check_leakage(drawn_rankings(train), drawn_rankings(heldout), responses=True)


@pytest.mark.skipif("VADER" not in os.environ, reason="VADER names no source package of vaderSentiment 0.5")
def test_the_real_package_has_23703_texts_and_536520_ratings():
    rated = read_ratings(Path(os.environ["VADER"]))
    assert Counter(one.genre for one in rated) == {
        "tweets": 4_200, "movieReviewSnippets": 10_605, "amazonReviewSnippets": 3_708,
        "nytEditorialSnippets": 5_190}
    assert sum(len(one.ratings) for one in rated) == 536_520
