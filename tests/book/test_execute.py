"""The executor of chapters: a second run gives the same bytes."""

import json
import uuid

import execute
import pytest
from nbformat import v4


def with_widget(identifiers: list[str], order=range(4)):
    """A notebook that shows a widget of three models; a fourth is in the state and shown by nothing."""
    model, layout, style, unseen = identifiers
    refers = {"layout": f"IPY_MODEL_{layout}", "style": f"IPY_MODEL_{style}"}
    state = {model: {"model_name": "AnyModel", "state": refers},
             layout: {"model_name": "LayoutModel", "state": {}}, style: {"model_name": "StyleModel", "state": {}},
             unseen: {"model_name": "LayoutModel", "state": {}}}
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": model, "version_major": 2, "version_minor": 0},
            "text/plain": f"a widget at 0x7f{model[:8]}"}
    shown = v4.new_output("execute_result", view, execution_count=1)
    cell = v4.new_code_cell("show()", execution_count=1, outputs=[shown],
                            metadata={"execution": {"iopub.status.busy": "2026-11-22T20:33:00Z"}})
    notebook = v4.new_notebook(cells=[cell])
    notebook.metadata["widgets"] = {execute.STATE: {"state": {identifiers[k]: state[identifiers[k]] for k in order}}}
    return notebook


def test_identifiers_of_widgets_do_not_matter():
    ours = [uuid.UUID(int=n).hex for n in (7, 8, 9, 10)]
    text = execute.regular(with_widget(ours), "chapter")
    for order in ([2, 0, 3, 1], [3, 2, 1, 0]):
        permuted = [ours[k] for k in order]
        assert execute.regular(with_widget(permuted, order), "chapter") == text
    assert execute.regular(with_widget([uuid.uuid4().hex for _ in range(4)]), "chapter") == text


def test_identifiers_may_have_dashes():
    first, second = (execute.regular(with_widget([str(uuid.uuid4()) for _ in range(4)]), "chapter") for _ in range(2))
    assert first == second and first.count("-4") != first.count("")


def test_a_regular_notebook_stays_as_it_is():
    text = execute.regular(with_widget([uuid.uuid4().hex for _ in range(4)]), "chapter")
    again = execute.nbformat.reads(text, 4)
    assert execute.regular(again, "chapter") == text


def test_what_nothing_shows_and_what_is_chance_are_gone():
    notebook = with_widget([uuid.uuid4().hex for _ in range(4)])
    found = json.loads(execute.regular(notebook, "chapter"))
    assert len(found["metadata"]["widgets"][execute.STATE]["state"]) == 3
    assert found["cells"][0]["metadata"] == {} and found["cells"][0]["id"] == "chapter-000"
    assert "a widget at 0x0" in json.dumps(found)


def test_a_hash_that_is_no_widget_is_left_alone():
    digest = "0123456789abcdef0123456789abcdef"
    notebook = with_widget([uuid.uuid4().hex for _ in range(4)])
    notebook.cells[0].outputs.append(v4.new_output("stream", text=digest))
    assert digest in execute.regular(notebook, "chapter")


def test_what_is_printed_in_pieces_is_stored_in_one():
    def printing(*pieces):
        outputs = [v4.new_output("stream", name=name, text=text) for name, text in pieces]
        return v4.new_notebook(cells=[v4.new_code_cell("loop()", execution_count=1, outputs=outputs)])

    apart = printing(("stdout", "a\n"), ("stdout", "b\n"), ("stderr", "c\n"), ("stdout", "d\n"))
    together = printing(("stdout", "a\nb\n"), ("stderr", "c\n"), ("stdout", "d\n"))
    assert execute.regular(apart, "chapter") == execute.regular(together, "chapter")


@pytest.fixture
def chapter(tmp_path):
    path = tmp_path / "chapter.ipynb"

    def write(source: str):
        path.write_text(json.dumps(v4.new_notebook(cells=[v4.new_code_cell(source)])))
        return path
    return write


def test_a_second_run_gives_the_same_bytes_and_check_writes_nothing(chapter):
    path = chapter("import ipywidgets\nprint(object())\nipywidgets.IntSlider()")
    before = path.read_text()
    said, well = execute.renewed(path, check=True)
    assert "differs" in said and not well and path.read_text() == before
    said, well = execute.renewed(path, check=False)
    assert "written" in said and well and "IntSliderModel" in path.read_text()
    said, well = execute.renewed(path, check=True)
    assert "as before" in said and well


def test_a_chapter_that_fails_is_named_and_not_written(chapter):
    path = chapter("1 / 0")
    before = path.read_text()
    said, well = execute.renewed(path, check=False)
    assert "ZeroDivisionError" in said and not well and path.read_text() == before


def test_a_figure_is_an_svg_and_a_second_run_gives_the_same_bytes(chapter):
    path = chapter("from instructgpt_lite.book import figures\nfigures.use_style()\nfig, ax = figures.panels()")
    first = execute.executed(path)
    shown = json.loads(first)["cells"][0]["outputs"][0]["data"]
    assert set(shown) == {"image/svg+xml", "text/plain"}
    assert execute.executed(path) == first
