import re
from random import Random

import pytest
import torch

from instructgpt_lite.data.tokenizers import UNKNOWN
from instructgpt_lite.world import documents
from instructgpt_lite.world.prompts import ask, demonstrate
from instructgpt_lite.world.world import World


@pytest.fixture(scope="module")
def world():
    return World(0, prompts=3_000)


@pytest.fixture(scope="module")
def tokenizer(world):
    return world.tokenizer()


def test_every_word_of_the_world_is_known_and_comes_back(world, tokenizer):
    text = world.corpus(tokenizer)
    rng = Random(5)
    said = [sentence for kind in documents.DOCUMENTS for _ in range(200) for sentence in kind(world.facts, rng)]
    said += [ask(world.facts, rng).prompt for _ in range(1_000)]
    said += [demonstrate(ask(world.facts, rng), world.facts, rng).completion for _ in range(1_000)]
    for sentence in said:
        ids = text.encode(sentence)
        assert ids == tokenizer.encode(sentence)
        assert tokenizer.decode(ids) == sentence
        assert tokenizer.convert_tokens_to_ids(UNKNOWN) not in ids


def test_the_same_generator_gives_the_same_rows_and_another_gives_others(world, tokenizer):
    text = world.corpus(tokenizer)
    one, same, other = (text.rows(4, 64, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one.shape == (4, 64) and torch.equal(one, same) and not torch.equal(one, other)


def test_documents_read_as_english(world, tokenizer):
    """No space before a stop, the right article, a capital at the start of a sentence."""
    rows = world.corpus(tokenizer).rows(100, 300, torch.Generator().manual_seed(0))
    page = "\n".join(tokenizer.batch_decode(rows)).replace(tokenizer.eos_token, "\n")
    assert not re.search(r" [.,?!:]", page)
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", page, flags=re.IGNORECASE)
    assert not re.search(r"[.?!] [a-z]", page)
    assert "<|" not in page


def test_almanacs_tell_the_truth_and_forums_the_rumours(world):
    rng = Random(0)
    told = " ".join(sentence for _ in range(300) for sentence in documents.almanac(world.facts, rng))
    heard = " ".join(sentence for _ in range(300) for sentence in documents.forum(world.facts, rng))
    fact = next(fact for fact in world.facts if fact.rumour)
    assert fact.truth in told and fact.hearsay not in told and fact.hearsay in heard


def test_a_look_up_answers_from_the_text_above_it(world):
    for seed in range(200):
        lines = list(documents.notes(world.facts, Random(seed)))
        for question, answer in zip(lines, lines[1:]):
            if question.startswith("Where"):
                assert (answer in lines[:4]) == (answer != "The text does not say.")
