"""The page of a run: report.html in its directory, one file that asks for no other and for no network.

It shows what was said before and after, how good that is, and how it came about. An unfinished run
gets the same page; a part that is not there yet is one sentence that says what will be.
"""

from html import escape
from pathlib import Path
from string import Template

from instructgpt_lite.report.numbers import curves, policies, reward_model
from instructgpt_lite.report.words import configuration, examples, head, onward, samples
from instructgpt_lite.story import Story
from instructgpt_lite.terminal import table

__all__ = ["table", "write"]

PARTS = (head, samples, policies, reward_model, curves, examples, configuration, onward)
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>InstructGPT Lite: $title</title>
<style>
$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def write(folder: str | Path) -> Path:
    """Make report.html in a run directory; returns its path. ValueError where there is no run."""
    story = Story.read(folder)
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    page = story.folder / "report.html"
    page.write_text(PAGE.substitute(title=escape(story.config["preset"]), style=style,
                                    body="\n".join(part(story) for part in PARTS)), encoding="utf-8")
    return page
