"""A word-level tokenizer in Hugging Face format: words, stops and line ends are tokens, spaces are not.

`decode` gives English back: a space before a word, none before a stop or around a line end.
PAD and EOS are different tokens; a model that reads them as one never learns to stop.
"""

import re

EOS, PAD, UNKNOWN = "<|endoftext|>", "<|pad|>", "<|unknown|>"
TOKEN = r"\w+|[^\w\s]|\n"
STOPS = ".,?!:"


def words_of(texts) -> list[str]:
    """The tokens that occur in the texts, sorted."""
    return sorted({word for text in texts for word in re.findall(TOKEN, text)})


def word_tokenizer(words: list[str]):
    """A `PreTrainedTokenizerFast` over these words; what is not among them becomes UNKNOWN."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([EOS, PAD, UNKNOWN, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(TOKEN), behavior="removed", invert=True)
    tight = [decoders.Replace(f" {stop}", stop) for stop in STOPS]
    tokenizer.decoder = decoders.Sequence([decoders.WordPiece(prefix="##", cleanup=False), decoders.Fuse(), *tight,
                                           decoders.Replace(" \n", "\n"), decoders.Replace("\n ", "\n")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=EOS, pad_token=PAD, unk_token=UNKNOWN,
                                   clean_up_tokenization_spaces=False)
