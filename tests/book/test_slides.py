"""Every chapter is on its slides: headings, labelled equations, figures with their words; nothing is left unread."""

import re
from html.parser import HTMLParser
from pathlib import Path

import in_words
import nbformat
import pytest
import slides

ROOT = Path(__file__).parent.parent.parent


class Page(HTMLParser):
    """The headings, formulas, pictures and words of a deck, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings, self.formulas, self.pictures, self.loaded, self.ids, self.words = [], [], [], [], [], ""
        self.stack = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.stack.append((tag, given.get("class") or ""))
        self.headings += [""] if re.fullmatch("h[1-3]", tag) else []
        self.formulas += [""] if "math" in self.stack[-1][1].split() else []
        self.pictures += [given] if tag == "img" else []
        self.loaded += [given[key] for key in ("src", "href") if tag != "a" and key in given]
        self.ids += [given["id"]] if tag == "section" else []
        if tag in ("meta", "link", "img"):
            self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack.pop()[0] == tag

    def handle_data(self, data):
        tags = {tag for tag, _ in self.stack}
        if tags & {"h1", "h2", "h3"} and "small" not in tags:
            self.headings[-1] += data
        if any("math" in given.split() for _, given in self.stack):
            self.formulas[-1] += data
        elif not tags & {"style", "script", "code"}:
            self.words += data


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("html")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["slides.py", str(folder)])
        slides.main()
    return {path.stem: Page(path.read_text("utf8")) for path in (folder / "slides").glob("*.html")}


@pytest.fixture(params=slides.CHAPTERS)
def chapter(request, decks):
    cells = nbformat.read(ROOT / f"chapters/{request.param}.ipynb", 4).cells
    return decks[request.param], cells, "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def letters(text: str) -> str:
    return re.sub(r"[^\w]", "", text)


def test_every_chapter_has_a_deck(decks):
    numbered = {path.stem for path in (ROOT / "chapters").glob("[0-9]*.ipynb")}
    assert set(decks) == numbered | {"rl", "index"}


def test_every_heading_is_on_a_slide_and_in_order(chapter):
    deck, _, text = chapter
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = [letters(title) for title in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)]
    headings.sort(key=lambda title: title == "Exercises")
    shown = list(dict.fromkeys(map(letters, deck.headings)))
    assert [title for title in shown if title in headings] == headings
    assert shown[-1] == "Exercises" and len(shown) <= len(headings) + 1          # with the box that opens it


def test_every_equation_with_a_label_is_on_a_slide(chapter):
    deck, _, text = chapter
    labelled = re.findall(r"\$\$\n((?:(?!\$\$).)+)\n\$\$ \(eq-", text, re.DOTALL)
    labelled += re.findall(r"^```\{math\}\n:label: [^\n]*\n(.+?)\n```", text, re.MULTILINE | re.DOTALL)
    assert len(labelled) == len(re.findall(r"^\$\$ \(eq-|^:label: eq-", text, re.MULTILINE))
    displayed = [re.sub(r"\\tag\{.*?\}", "", formula)[2:-2] for formula in deck.formulas if r"\tag" in formula]
    assert sorted(displayed) == sorted(labelled)


def test_every_drawing_is_there_once_with_its_words(chapter):
    deck, cells, text = chapter
    drawn = [cell.metadata["mystnb"]["image"]["alt"] for cell in cells for output in cell.get("outputs", [])
             if "image/svg+xml" in output.get("data", {})]
    pictures = [picture["alt"] for picture in deck.pictures]
    assert [alt for alt in pictures if alt in drawn] == drawn
    assert {alt for alt in pictures if alt not in drawn} == set(re.findall(r"^:alt: (.+)$", text, re.MULTILINE))
    assert len(set(pictures)) == len(pictures) and all(pictures)
    assert all(picture["src"].startswith("data:image/svg+xml,%3Csvg") for picture in deck.pictures)


def test_every_exercise_is_named(chapter):
    deck, _, text = chapter
    last = deck.words[deck.words.rindex("Exercises"):]
    for found in re.findall(r":::\{exercise-start\}(?: (.*))?\n(?::.*\n)*:::\n(?:\*\*\d+\. (.*?)\*\*)?", text):
        assert letters(re.sub(r"[$`\\].*", "", found[0] or found[1])) in letters(last)


def test_nothing_is_left_unread_or_loaded_from_elsewhere(decks):
    for name, deck in decks.items():
        assert not re.search(r"\{[\w:]+\}[`\[]|:::|```|\$|\*\*|\)=|myst", deck.words), name
        assert not [address for address in deck.loaded if re.match(r"(https?:)?//", address)], name
        assert deck.ids == [str(n) for n in range(1, len(deck.ids) + 1)], name
        assert not deck.stack, name


def test_what_is_too_much_for_a_slide_goes_on_the_next():
    deck = object.__new__(slides.Deck)
    deck.name = "long"
    items = [slides.Piece(f"<li>{n}</li>", 3, ("<ul>", "</ul>")) for n in range(20)]
    deck.sections = [slides.Section(2, "Long", "long", items)]
    parts = [slide["body"] for slide in deck.slides()]
    assert len(parts) == 3 and all(part.startswith("<ul><li>") and part.endswith("</li></ul>") for part in parts)
    assert re.findall(r"\d+", "".join(parts)) == [str(n) for n in range(20)]


@pytest.mark.parametrize("text, first", [
    ("One word. And more.", "One word."),
    ("*Is it? What is it?* No.", "*Is it? What is it?*"),
    ("$a. B$ is 1.5 (see App. C. It is long). Then.", "$a. B$ is 1.5 (see App. C. It is long)."),
    ("**A. B.** It is `so. So`.", "**A. B.**"),
    ("It is `so. So`. **A. B.**", "It is `so. So`."),
    ('It is "Name three. Not soup." One answer is.', 'It is "Name three. Not soup."'),
    ("No end", "No end"),
])
def test_sentences_keep_whole_what_belongs_together(text, first):
    said = in_words.sentences(text)
    assert said[0] == first and " ".join(said) == text


@pytest.mark.parametrize("text, html", [
    ("{term}`nats <nat>` {term}`nat`", "nats nat"),
    ("{ref}`ch-bradley-terry`", "Bradley-Terry: strengths from choices"),
    ("{ref}`Chapter 2 <ch-bradley-terry>`", "Chapter 2"),
    ("{eq}`eq-bt-sigmoid`, {numref}`fig-bt-curve`", "(2.2), Fig. 2.1"),
    ("{cite:p}`schulman2017ppo,ouyang2022training`", "(Schulman et al., 2017; Ouyang et al., 2022)"),
    ("$a < b$ & `x < y`", '<span class="math">\\(a &lt; b\\)</span> &amp; <code>x &lt; y</code>'),
    ("[a figure](bt-by-hand)", "a figure"),
])
def test_roles_are_in_words_and_text_is_escaped(text, html):
    assert in_words.parser(in_words.names()).renderInline(text) == html
