"""A batch of PPO stage by stage: JavaScript's numbers beside theory.objective and its gradients beside autograd's."""

import itertools
import math
import random
from functools import partial

import pytest
import torch

from instructgpt_lite.book.widgets import StepPPO
from instructgpt_lite.theory import objective
from instructgpt_lite.theory.masked import masked_mean, masked_whiten

tensor = partial(torch.tensor, dtype=torch.float64)
close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)
WORDS = ["[end]", "good", "bad", "not", "very"]


@pytest.fixture
def run(javascript):
    return partial(javascript, "surprise.js ppo.js")


def cases(count: int = 40, seed: int = 0) -> list[dict]:
    """Batches of every shape: padding anywhere, rows that count nothing, ratios on both sides of the clip."""
    chance, made = random.Random(seed), []
    for _ in range(count):
        rows, columns = chance.randint(1, 5), chance.randint(1, 6)
        def grid(of, rows=rows, columns=columns):
            return [[of() for _ in range(columns)] for _ in range(rows)]
        mask = grid(lambda: chance.random() < 0.7)
        mask[0][0] = True
        old = grid(lambda: -3 * chance.random())
        made.append({
            "mask": mask, "old": old, "logp": [[x + chance.gauss(0, 0.4) for x in row] for row in old],
            "ref": grid(lambda: -3 * chance.random()), "value": grid(lambda: chance.gauss(0, 1)),
            "advantage": grid(lambda: chance.gauss(0, 1)), "r": [chance.gauss(0, 2) for _ in range(rows)],
            "beta": chance.choice([0.0, 0.3, chance.random()]), "lam": chance.choice([0.0, 1.0, chance.random()]),
            "clip": chance.choice([0.2, 0.5 * chance.random() + 0.01])})
    return made


def unpacked(case: dict) -> dict:
    found = {name: tensor(x) if name != "mask" else torch.tensor(x) for name, x in case.items()}
    return found | {name: case[name] for name in ("beta", "lam", "clip")}


def test_rewards_advantages_and_losses_are_those_of_the_package(run):
    got = run("given.map((c) => { const s = m.surrogate(c.logp, c.old, c.advantage, c.mask, c.clip);"
              " return [m.tokenRewards(c.r, c.old, c.ref, c.mask, c.beta), m.gae(c.ref, c.value, c.mask, c.lam),"
              " m.maskedWhiten(c.value, c.mask), m.maskedMean(c.value, c.mask), s.loss, s.share,"
              " m.valueLoss(c.value, c.ref, c.mask)]; })", cases())
    sides = set()
    for mine, case in zip(got, map(unpacked, cases()), strict=True):
        mask, surrogate = case["mask"], (case["logp"], case["old"], case["advantage"], case["mask"], case["clip"])
        want = [objective.token_rewards(case["r"], case["old"], case["ref"], mask, case["beta"]),
                objective.gae(case["ref"], case["value"], mask, case["lam"]),
                masked_whiten(case["value"], mask), masked_mean(case["value"], mask),
                objective.policy_loss(*surrogate), objective.clip_fraction(*surrogate),
                objective.value_loss(case["value"], case["value"], case["ref"], mask)]
        for mine_x, want_x in zip(mine, want, strict=True):
            close(tensor(mine_x), want_x.double())
        sides |= {("up" if a > 0 else "down", bool(s)) for a, s in zip(
            case["advantage"][mask], stopped(case)[mask], strict=True)}
    assert len(sides) == 4                               # both signs, stopped and not: the cases reach every branch


def stopped(case: dict) -> torch.Tensor:
    ratio = (case["logp"] - case["old"]).exp()
    return torch.where(case["advantage"] > 0, ratio > 1 + case["clip"], ratio < 1 - case["clip"])


# Whole iterations

def settings(**changes) -> dict:
    figure = StepPPO()
    made = {name: getattr(figure, name) for name in ("beta", "lam", "clip", "lr", "updates")}
    return made | {"valueLr": 1.0, "sign": 1, "responses": 4} | changes


def runs(count: int = 12) -> list[dict]:
    """Random tables of logits and values, and random settings: each a run of three batches."""
    chance, made = random.Random(1), []
    for seed in range(count):
        def table():
            return [[chance.gauss(0, 1) for _ in WORDS] for _ in WORDS]
        made.append({"start": {"logits": table(), "values": [chance.gauss(0, 1) for _ in WORDS]},
                     "reference": table(), "seed": seed, "settings": settings(
                         beta=chance.random(), lam=chance.random(), clip=0.3 * chance.random() + 0.02,
                         lr=5 * chance.random(), updates=chance.randint(1, 4), sign=chance.choice([1, -1]))})
    return made


ITERATIONS = "given.map((c) => m.iterations(c.start, c.reference, c.settings, 3, c.seed))"


def taste(words: list[str]) -> float:
    """"good" adds 1, "bad" takes 1; "very" before makes it 1.5 times that, "not" the opposite."""
    score, force = 0.0, 1.0
    for word in words:
        score += force * {"good": 1.0, "bad": -1.0}.get(word, 0.0)
        force = {"good": 1.0, "bad": 1.0}.get(word, force) * {"not": -1.0, "very": 1.5}.get(word, 1.0)
    return score


def paid(tokens: list[int], sign: float) -> float:
    return sign * taste([WORDS[token] for token in tokens]) - (tokens[-1] != 0)


def test_every_number_of_an_iteration_is_what_the_package_and_autograd_give(run):
    stops = 0
    for case, found in zip(runs(), run(ITERATIONS, runs()), strict=True):
        at, start = case["settings"], case["start"]
        for it in found:
            place, token, mask = (torch.tensor(it[name]) for name in ("place", "token", "mask"))
            logits, values = (tensor(start[name]).requires_grad_() for name in ("logits", "values"))
            def logp_of(table, place=place, token=token):
                return table.log_softmax(dim=-1)[place, token]
            old, ref, value = logp_of(logits).detach(), logp_of(tensor(case["reference"])), values.detach()[place]
            r = tensor([paid([w for w, m in zip(row, counts, strict=True) if m], at["sign"])
                        for row, counts in zip(it["token"], it["mask"], strict=True)])
            close(tensor(it["r"]), r)
            reward = objective.token_rewards(r, old, ref, mask, at["beta"])
            advantage = objective.gae(reward, value, mask, at["lam"])
            white, returns = masked_whiten(advantage, mask), advantage + value * mask
            for name, want in [("reward", reward), ("delta", objective.gae(reward, value, mask, 0.0)),
                               ("advantage", advantage), ("white", white), ("returns", returns)]:
                close(tensor(it[name]), want)
            close(tensor(it["penalty"]).sum(dim=1) + r, reward.sum(dim=1))
            for step in it["steps"]:
                surrogate = (logp_of(logits), old, white, mask, at["clip"])
                loss = objective.policy_loss(*surrogate)
                value_loss = objective.value_loss(values[place], value, returns, mask)
                close(tensor(step["before"]["logits"]), logits.detach())
                close(tensor(step["before"]["values"]), values.detach())
                (loss + value_loss).backward()
                close(tensor([step["loss"], step["share"], step["valueLoss"]]), torch.stack(
                    [loss, objective.clip_fraction(*surrogate), value_loss]).detach())
                with torch.no_grad():
                    logits -= at["lr"] * logits.grad
                    values -= at["valueLr"] * values.grad
                logits.grad = values.grad = None
                close(tensor(step["after"]["logits"]), logits.detach())
                close(tensor(step["after"]["values"]), values.detach())
                stops += step["share"] > 0
            start = it["weights"]
            assert start == it["steps"][-1]["after"]
    assert stops > 10


def test_the_first_update_has_ratio_1_and_the_whole_gradient_and_the_second_has_not(run):
    assert StepPPO().seed == of_figure()["seed"]
    (first, *_), = run(ITERATIONS, [of_figure()])
    counts = torch.tensor(first["mask"])
    one, two = first["steps"]
    assert set(tensor(one["ratio"])[counts].tolist()) == {1.0} and one["share"] == 0
    assert 0 < two["share"] < 0.5                        # the opening figure shows the clip, and tokens that it spares
    assert {(x > 0) for x in tensor(first["white"])[tensor(two["stopped"]) > 0].tolist()} == {True, False}


def test_draws_follow_the_policy_end_once_and_depend_on_the_seed_alone(run):
    logits = tensor(StepPPO().policy)
    drawn, again, other = run("[1, 1, 2].map((seed) => m.sample(given, 20000, m.uniforms(seed)))", logits.tolist())
    assert drawn == again != other
    place, token, mask = (torch.tensor(drawn[name]) for name in ("place", "token", "mask"))
    for row, p in enumerate(logits.softmax(dim=-1)):
        words = token[mask & (place == row)]
        share = words.bincount(minlength=5) / len(words)
        assert ((share - p).abs() <= 4 * (p * (1 - p) / len(words)).sqrt()).all()
    ended = (token == 0).cumsum(dim=1) - (token == 0).int() > 0
    assert torch.equal(mask, ~ended) and (place[:, 0] == 0).all()
    assert torch.equal(place[:, 1:][mask[:, 1:]], token[:, :-1][mask[:, 1:]])


def test_a_setting_changes_no_draw_of_the_first_batch_and_another_batch_draws_anew(run):
    plain, changed = run(ITERATIONS, [of_figure(5), of_figure(5, beta=1.0, lr=7.0, sign=-1)])
    assert plain[0]["token"] == changed[0]["token"] and plain[0]["white"] != changed[0]["white"]
    first, second, _ = run(ITERATIONS, [of_figure(5, lr=0.0)])[0]
    assert first["weights"]["logits"] == second["weights"]["logits"] and first["token"] != second["token"]


def test_score_and_kl_of_a_policy_are_sums_over_all_responses(run):
    responses = [list(y) for n in range(1, 5) for y in itertools.product(range(5), repeat=n)
                 if 0 not in y[:-1] and (n == 4 or y[-1] == 0)]
    assert len(responses) == 341
    for case in runs(3):
        logp, logq = (tensor(table).log_softmax(dim=-1) for table in (case["start"]["logits"], case["reference"]))
        score = kl = 0.0
        for y in responses:
            mine, other = (table[[0, *y[:-1]], y].sum().item() for table in (logp, logq))
            score += math.exp(mine) * paid(y, -1)
            kl += math.exp(mine) * (mine - other)
        got = run("m.exactly(given.start.logits, given.reference, -1)", case)
        assert [got["score"], got["kl"]] == pytest.approx([score, kl], rel=1e-9)
        assert got["kl"] > 0


def test_the_taste_of_the_world(run):
    said = [[3, 4, 1], [3, 3, 1, 0], [1, 4, 2, 0], [4, 4, 1, 0], [0], [3, 0]]
    assert run("given.map(m.taste)", said) == [-1.5, 1.0, -0.5, 2.25, 0.0, 0.0]
    assert run("given.map((y) => m.paid(y, -1))", said) == [0.5, -1.0, 0.5, -2.25, 0.0, 0.0]


def test_a_few_batches_raise_what_is_paid_whatever_its_sign(run):
    for case in (of_figure(), of_figure(sign=-1)):
        (*_, last), = run("given.map((c) => m.iterations(c.start, c.reference, c.settings, 8, c.seed))", [case])
        before, after = (run("m.exactly(given[0], given[1], given[2]).score",
                             [logits, case["reference"], case["settings"]["sign"]])
                         for logits in (case["start"]["logits"], last["weights"]["logits"]))
        assert after > before + 0.3


# The figure

STAGES = """given.flatMap(({ settings: s, ...c }) => m.iterations(c.start, c.reference, s, 2, c.seed).flatMap((it) =>
  [...m.ONCE.map((stage) => [stage, 0]), ...it.steps.flatMap((_, n) => m.UPDATE.map((stage) => [stage, n]))].map(
    ([stage, n]) => ({ name: stage.name, says: stage.says(s, it, n), formula: stage.formula,
      tokens: it.mask.flatMap((row, b) => row.flatMap((counts, t) => (counts ? [{
        worked: stage.works({ it, b, t, n, s }), stopped: it.steps[n].stopped[b][t],
        shown: (stage.lines?.(it, n).at(-1)?.[1] ?? [])[b]?.[t] ?? (stage.name === "Score" ? it.r[b] : null)}]
        : []))) }))))"""


def of_figure(seed: int = 2, **changes) -> dict:
    figure = StepPPO()
    return {"start": {"logits": figure.policy, "values": figure.values}, "reference": figure.reference,
            "settings": settings(**changes), "seed": seed}


@pytest.fixture
def stages(javascript) -> list[dict]:
    cases = [of_figure(), of_figure(3, updates=3, sign=-1), of_figure(4, lam=0.5, beta=0.7, clip=0.1)]
    return javascript(StepPPO.script, STAGES, cases)


def test_a_stage_has_one_sentence_and_a_formula(stages):
    assert len({stage["name"] for stage in stages}) == 12
    for stage in stages:
        assert stage["says"][0].isupper() and stage["says"].endswith(".") and ". " not in stage["says"]
        assert stage["formula"].count("(") == stage["formula"].count(")")


def test_what_is_worked_out_by_hand_is_what_the_table_shows(stages):
    evaluated = set()
    for stage in stages:
        for token in stage["tokens"]:
            left, _, right = token["worked"].replace("\u2212", "-").rpartition(" = ")
            if stage["name"] == "New weights":
                assert ("stopped" in token["worked"]) == bool(token["stopped"])
                left = left.removeprefix("its logit moves by ")
            else:
                assert float(right) == pytest.approx(token["shown"], abs=0.005001)
            left = left.removeprefix("r = ").replace("\u00d7", "*")
            if left and stage["name"] not in ("Sample", "Value"):
                assert eval(left) == pytest.approx(float(right), rel=0.03, abs=0.03)
                evaluated.add(stage["name"])
    assert len(evaluated) == 10


def test_the_figure_carries_its_code_and_style_and_says_the_same_each_time(javascript):
    state = StepPPO().get_state()
    assert state["_esm"].count("export default { render }") == 1
    assert ".step-ppo" in state["_css"] and ".figure-by-hand" in state["_css"]
    assert repr(StepPPO()) == repr(StepPPO()) and "0x" not in repr(StepPPO())
    assert javascript(StepPPO.script, "[typeof m.default.render, m.WORDS, m.LONGEST]", None) == ["function", WORDS, 4]


def test_tables_of_the_figure_are_distributions_over_its_words():
    figure = StepPPO()
    for table in (figure.policy, figure.reference):
        assert tensor(table).shape == (5, 5)
        assert tensor(table).exp().sum(dim=1).tolist() == pytest.approx([1.0] * 5)
    assert len(figure.values) == 5
