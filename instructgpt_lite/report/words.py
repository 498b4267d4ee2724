"""The parts of the page that are words: what was run, what was said, with which numbers, and how to go on."""

import shlex
from collections import defaultdict
from html import escape

from instructgpt_lite.report import svg
from instructgpt_lite.story import POLICIES, SPEAKERS, STAGES, Story
from instructgpt_lite.terminal import printable
from instructgpt_lite.world.examples import twenty
from instructgpt_lite.world.facts import draw_facts
from instructgpt_lite.world.gold import Gold


def text(value: object) -> str:
    """Anything as text that is safe in a page."""
    return escape(printable(str(value)))


def section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n" + "\n".join(part for part in parts if part) + "\n</section>"


def head(story: Story) -> str:
    """What was run, how far it is or what came of it, and where the time went."""
    config, size = story.config, story.parameters()
    weights = f"{size / 1e6:.2g} million" if size >= 1e5 else f"{size:,}"
    shape = f"{config['architecture']['layers']} layers, {config['architecture']['width']} wide"
    said = (f"A language model{f' of {weights} parameters' if size else ''} ({shape}) learns to follow "
            f"instructions: from {config['sft']['demonstrations']:,} demonstrations, from rankings of its "
            f"own answers to {config['collect']['prompts']:,} prompts, and by reinforcement on "
            f"{config['ppo']['episodes']:,} answers. "
            f"Preset {text(config['preset'])}, world {config['world']}, seed {config['seed']}.")
    ahead = ", ".join(STAGES[stage] for stage in story.missing)
    state = (f'<p class="unfinished"><strong>This run is not finished.</strong> Still to do: {ahead}.</p>'
             if ahead else outcome(story))
    title = f"<h1>InstructGPT Lite <small>run {text(config['preset'])}</small></h1>"
    return "\n".join(["<header>", "<div>", title, f"<p>{said}</p>", state, "</div>", times(story.seconds),
                      "</header>"])


def outcome(story: Story) -> str:
    """What came of it, in two sentences."""
    found = story.evaluation.get("policies", {})
    if not {"base", "sft", "ppo_ptx"} <= found.keys():
        return ""
    gold, people = (f"{100 * mean:.0f} % ({100 * low:.0f} to {100 * high:.0f} %)" for mean, low, high in
                    (found["ppo_ptx"]["gold_win"], found["ppo_ptx"]["labeler_win"]))
    rise = found["ppo_ptx"]["pretraining_loss"][0] - found["base"]["pretraining_loss"][0]
    return (f"<p>PPO-ptx is preferred over SFT on {gold} of held-out prompts by the gold score, and on "
            f"{people} by labelers nobody trained on; ties count half. Its loss on pretraining text is "
            f"{abs(rise):.2f} nats per token {'above' if rise >= 0 else 'below'} the base's.</p>")


def times(seconds: dict[str, float]) -> str:
    """CPU-seconds of each finished stage, as bars."""
    if not seconds:
        return ""
    most, rows = max(*seconds.values(), 1e-9), []
    for stage, took in seconds.items():
        head = f'<th scope="row">{text(STAGES.get(stage, stage))}</th>'
        cost = f"{took:.1f}" if took else "shipped"
        rows.append(f"<tr>{head}<td>{svg.bar(took / most)}</td><td>{cost}</td></tr>")
    total = f"{sum(seconds.values()):.0f} in all"
    return "\n".join([
        f'<table class="time">\n<caption>CPU-seconds <small>{total}</small></caption>',
        '<thead class="heard"><tr><th scope="col">Stage</th><th scope="col">Bar</th>'
        '<th scope="col">CPU-seconds</th></tr></thead>', "<tbody>", *rows, "</tbody>", "</table>"])


def samples(story: Story) -> str:
    """The first held-out prompt of every use case with three answers to it; the rest folded away."""
    if not story.samples:
        return section("Before and after", "<p>Answers will stand here, after the evaluation.</p>")
    cases: dict[str, list[dict]] = defaultdict(list)
    for sample in story.samples:
        cases[sample["category"]].append(sample)
    shown = [exchange(first) for first, *_ in cases.values()]
    rest = "\n".join(exchange(sample) for _, *others in cases.values() for sample in others)
    count = len(story.samples) - len(shown)
    folded = f"<details>\n<summary>{count} more prompts</summary>\n{rest}\n</details>" if rest else ""
    return section("Before and after", "<p>The first held-out prompt of each use case, none of them picked. "
                   "The gold score says what an answer is worth, from 0 to 1.</p>", *shown, folded)


def exchange(sample: dict) -> str:
    """One prompt and what the policies answer."""
    answers = []
    for name in (name for name in SPEAKERS if name in sample):
        said, gold = sample[name]
        answers += [f"<div>\n<dt>{POLICIES[name]}</dt>",
                    f'<dd class="said">{text(said) or "<i>(nothing)</i>"}</dd>',
                    f'<dd class="score">gold {gold:.2f} {svg.bar(gold)}</dd>\n</div>']
    prompt = f"<h3><small>{text(sample['category'])}</small> {text(sample['prompt'])}</h3>"
    return "\n".join(["<article>", prompt, "<dl>", *answers, "</dl>", "</article>"])


def configuration(story: Story) -> str:
    """What departs from the paper's numbers, stage by stage, and from the preset."""
    fields = [field for field in story.fields() if "." in field[0]]
    stages: dict[str, list[str]] = defaultdict(list)
    for name, paper, preset, here in fields:
        if here != paper:
            stage, _, field = name.partition(".")
            own = f" <small>(preset: {text(shown(preset))})</small>" if here != preset else ""
            stages[stage].append(f'<tr><th scope="row">{text(field)}</th><td>{text(shown(paper))}</td>'
                                 f"<td>{text(shown(here))}{own}</td></tr>")
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("field", "paper", "this run"))
    tables = ["\n".join([f'<table class="fields">\n<caption>{text(stage)}</caption>',
                         f"<thead><tr>{heads}</tr></thead>", "<tbody>", *rows, "</tbody>", "</table>"])
              for stage, rows in stages.items()]
    count = sum(map(len, stages.values()))
    return section("Configuration", f"<p>{count} of {len(fields)} numbers depart from the defaults, "
                   "which are the paper's for 1.3 billion parameters, or ours where it gives none. "
                   "presets.py has the reasons, config.json every number.</p>",
                   '<div class="fieldsets">', *tables, "</div>")


def shown(value: object) -> str:
    """A value of the configuration as people write it."""
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}".replace("e-0", "e-")


def onward(story: Story) -> str:
    """What to type next."""
    if story.missing:
        return section("How to go on", "<p>The same command goes on where it stopped:</p>",
                       f"<pre><code>{text(story.command)}</code></pre>")
    model = shlex.quote(str(story.folder / "models" / "ppo_ptx"))
    lines = [f"python -m instructgpt_lite chat --run {shlex.quote(str(story.folder))}",
             f"python -m instructgpt_lite evaluate --model {model}", story.command]
    return section("How to go on", "<p>Talk to the models, score one of them, or make this run again:</p>",
                   "<pre><code>" + "\n".join(map(text, lines)) + "</code></pre>")


def examples(story: Story) -> str:
    """Twenty responses and their gold scores, so that a reader can judge the judge."""
    facts = draw_facts(story.config["world"])
    gold = Gold(facts)
    rows = [f'<tr><th scope="row">{text(prompt.prompt)}</th><td>{text(response) or "(nothing)"}</td>'
            f"<td>{gold(prompt, response).gold:.2f}</td></tr>" for prompt, response in twenty(facts)]
    return section("What the gold score rewards",
                   "<p>gold = harmless (0.65 helpful + 0.20 truthful + 0.15 helpful style). Would you agree?</p>",
                   '<div class="wide"><table class="examples"><caption>Twenty responses</caption>',
                   '<thead><tr><th scope="col">Prompt</th><th scope="col">Response</th><th scope="col">Gold</th></tr>',
                   "</thead><tbody>", *rows, "</tbody></table></div>")
