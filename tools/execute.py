"""Execute chapters and write them so that a second run gives the same bytes.

    python tools/execute.py [chapters/02_bradley_terry.ipynb ...]      all chapters when none is named
    python tools/execute.py --check [...]                              changes nothing; names those that differ

What a run leaves by chance is made regular: widget identifiers are numbered, addresses zeroed, widget models that
nothing shows dropped, timings and execution metadata removed, keys sorted.
"""

import argparse
import hashlib
import json
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
IDENTIFIER = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![0-9a-f])")
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "pygments_lexer": "ipython3"}}
STATE = "application/vnd.jupyter.widget-state+json"


def executed(path: Path) -> str:
    """The text of the notebook file after a run of all its cells, in its own folder."""
    notebook = nbformat.read(path, 4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources, record_timing=False).execute()
    return regular(notebook, path.stem)


def regular(notebook, name: str) -> str:
    """The notebook as text without what differs from run to run."""
    widgets = notebook.metadata.get("widgets")
    notebook.metadata = METADATA | ({"widgets": widgets} if widgets else {})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{name}-{number:03}".replace("_", "-")
        cell.metadata.pop("execution", None)
    order = shown(notebook, widgets[STATE]["state"] if widgets else {})
    text = json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False)
    for number, identifier in enumerate(order):
        new = hashlib.md5(f"{name}{number}".encode()).hexdigest()
        dashed = f"{new[:8]}-{new[8:12]}-{new[12:16]}-{new[16:20]}-{new[20:]}"
        text = text.replace(identifier, dashed if "-" in identifier else new)
    text = re.sub(r" at 0x[0-9a-f]{6,}", " at 0x0", text)
    return json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def shown(notebook, state: dict) -> list[str]:
    """Widget identifiers that outputs lead to, in the order they are met; others leave the state."""
    order = []

    def visit(text: str) -> None:
        for identifier in IDENTIFIER.findall(text):
            if identifier not in order:
                order.append(identifier)
                if identifier in state:
                    visit(json.dumps(state[identifier], sort_keys=True))

    visit(json.dumps([cell.get("outputs", []) for cell in notebook.cells], sort_keys=True))
    for identifier in set(state) - set(order):
        del state[identifier]
    return order


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    differing = 0
    for path in args.notebooks or sorted((ROOT / "chapters").glob("*.ipynb")):
        began = time.monotonic()
        text = executed(path)
        same = text == path.read_text()
        differing += not same
        if not args.check:
            path.write_text(text)
        state = "as before" if same else "differs" if args.check else "written"
        print(f"{path}: {state}, {len(text) // 1024} kB, {time.monotonic() - began:.0f} s", flush=True)
    return differing if args.check else 0


if __name__ == "__main__":
    sys.exit(main())
