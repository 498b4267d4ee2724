"""Execute chapters and write them so that a second run gives the same bytes.

    python tools/execute.py [chapters/02_bradley_terry.ipynb ...]      all chapters when none is named
    python tools/execute.py --check [...]                              changes nothing; names those that differ

Two chapters run side by side. What a run leaves by chance is made regular: widget identifiers are numbered,
addresses zeroed, widget models that nothing shows dropped, timings and execution metadata removed, keys sorted.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
IDENTIFIER = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])")
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "pygments_lexer": "ipython3"}}
STATE = "application/vnd.jupyter.widget-state+json"


def executed(path: Path, seconds: int = 300) -> str:
    """The text of the notebook file after a run of all its cells, in its own folder; a cell may take that long."""
    notebook = nbformat.read(path, 4)
    notebook.metadata.pop("widgets", None)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=seconds, kernel_name="python3", resources=resources, record_timing=False).execute()
    return regular(notebook, path.stem)


def regular(notebook, name: str) -> str:
    """The notebook as text without what differs from run to run."""
    state = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{name}-{number:03}".replace("_", "-")
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell["outputs"] = joined(cell.get("outputs", []))
    order = shown(notebook, state)
    kept = {identifier: state[identifier] for identifier in order}
    widgets = {"widgets": {STATE: {"state": kept, "version_major": 2, "version_minor": 0}}} if kept else {}
    notebook.metadata = METADATA | widgets
    numbered = {identifier: number_like(identifier, f"{name}{number}") for number, identifier in enumerate(order)}
    text = json.dumps(notebook, ensure_ascii=False)
    text = IDENTIFIER.sub(lambda found: numbered.get(found.group(), found.group()), text)
    text = re.sub(r" at 0x[0-9a-f]{6,}", " at 0x0", text)
    return json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def joined(outputs: list) -> list:
    """What a cell printed in one piece: a slow loop sends it in several, as chance will have it."""
    whole = []
    for output in outputs:
        before = whole[-1] if whole else {}
        if output["output_type"] == "stream" == before.get("output_type") and output["name"] == before["name"]:
            before["text"] += output["text"]
        else:
            whole.append(output)
    return whole


def number_like(identifier: str, name: str) -> str:
    """An identifier of the same form that depends on nothing but the name."""
    new = hashlib.md5(name.encode()).hexdigest()
    return f"{new[:8]}-{new[8:12]}-{new[12:16]}-{new[16:20]}-{new[20:]}" if "-" in identifier else new


def shown(notebook, state: dict) -> list[str]:
    """Identifiers of the widget models that outputs lead to, in the order in which they are met."""
    order = []

    def visit(text: str) -> None:
        for identifier in IDENTIFIER.findall(text):
            if identifier in state and identifier not in order:
                order.append(identifier)
                visit(json.dumps(state[identifier], sort_keys=True))

    visit(json.dumps([cell.get("outputs", []) for cell in notebook.cells], sort_keys=True))
    return order


def renewed(path: Path, check: bool) -> tuple[str, bool]:
    """Execute one notebook and write it, or only compare: what to say of it, and whether all is well."""
    began = time.monotonic()
    try:
        text = executed(path)
    except CellExecutionError as error:
        return f"{path}: failed\n{error}", False
    same = text == path.read_text()
    if not check:
        path.write_text(text)
    verdict = "as before" if same else "differs" if check else "written"
    return f"{path}: {verdict}, {len(text) // 1024} kB, {time.monotonic() - began:.0f} s", same or not check


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a file would change")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    paths = args.notebooks or sorted((ROOT / "chapters").glob("*.ipynb"))
    well = True
    with ProcessPoolExecutor(max(1, min(2, len(paths)))) as pool:
        for said, fine in pool.map(renewed, paths, [args.check] * len(paths)):
            print(said, flush=True)
            well = well and fine
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
