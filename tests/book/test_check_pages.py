"""The checks that need a browser find what they look for; without Chromium or node_modules they are skipped."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOUND = subprocess.run(["sh", "tools/need_chromium.sh", "--only-look"], cwd=ROOT, capture_output=True).returncode == 0
pytestmark = pytest.mark.skipif(not FOUND or not (ROOT / "node_modules/playwright-core").exists(),
                                reason="no Chromium here, or `make vendor` has not run")

VIEW = '<script type="application/vnd.jupyter.widget-view+json">{"model_id": "x"}</script>'
WIDGET = f'<div class="widget-subarea">{VIEW}<div class="lm-Widget">%s</div></div>'
SLIDER = '<label>weight <input type="range" min="0" max="9" value="5" aria-label="weight"%s></label><output>5</output>'
WORKS = WIDGET % (SLIDER % ' oninput="this.parentNode.nextSibling.textContent = this.value"')
STILL = WIDGET % (SLIDER % "" + "<button>Reset</button>")
GOOD = f"""<!doctype html><html lang="en"><head><title>A page</title><link rel="icon" href="data:,"></head>
<body><main><article><h1>A page</h1><p>Words.</p>{WORKS}</article></main></body></html>"""
BAD = """<script>console.error("oh")</script><script>undefined.x</script><script src="gone.js"></script>
<img src="http://127.0.0.1:9/pixel.png" alt="from another server"><span class="math">\\(x^2\\)</span>
<p style="width: 1500px">Wide</p><p style="color: #bbb">Pale</p><script src="big.js"></script>
<link rel="stylesheet" href="big.css">"""
COMPLAINTS = ["console: oh", "error: Cannot read properties of undefined", "404 for", "did not get",
              "MB of scripts, at most 4.5", "MB without scripts, at most 1.2",
              "asks for http://127.0.0.1:9/pixel.png", "picture not shown", "formulas not rendered",
              "pixels wide in a window of 390: p.", "2 of 3 widgets shown", "axe: color-contrast",
              "slider weight of widget 1 moves nothing", "no button of widget 1 does anything", "(from a file)"]


def checked(folder: Path, text: str) -> subprocess.CompletedProcess:
    (folder / "index.html").write_text(text)
    command = [ROOT / ".venv/bin/node", ROOT / "tools/check_pages.js", folder]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_nothing_is_wrong_with_a_good_page(tmp_path):
    result = checked(tmp_path, GOOD)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 pages in 4 windows, 1 widgets operated, 0 faults" in result.stdout


def test_everything_wrong_with_a_bad_page_is_named(tmp_path):
    (tmp_path / "big.js").write_text("//" + os.urandom(6_000_000).hex())
    (tmp_path / "big.css").write_text(f"/* {os.urandom(2_000_000).hex()} */")
    result = checked(tmp_path, GOOD.replace("<p>Words.</p>", BAD + STILL + VIEW))
    assert result.returncode == 1, result.stdout + result.stderr
    assert [what for what in COMPLAINTS if what not in result.stdout] == []
