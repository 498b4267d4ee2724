"""python -m instructgpt_lite grade: points and feedback for a folder of notebooks."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class GradeCommand:
    """Grade the notebooks of a class: a table, and a page of feedback for each.

    Run it again after an interruption: what is finished is not graded again.
    """

    submissions: Annotated[Path, tyro.conf.Positional]
    """The folder that Moodle, Canvas or nbgrader gave, unpacked."""
    out: Path = Path("grades.csv")
    """The table. A folder of the same name gets the feedback."""
    limit: float = 20.0
    """Seconds for one submission, whatever it does."""
    jobs: int = os.cpu_count() or 1
    """How many are graded at a time."""
    isolation: bool = True
    """Keep students' code in. Without it, it may do all that you may."""

    def __call__(self) -> int:
        """Grade, and say where everything is. ValueError, OSError say what is wrong."""
        from tqdm import tqdm

        from instructgpt_lite.desk.grade import grade_all
        from instructgpt_lite.desk.sandbox import check_isolation
        from instructgpt_lite.desk.submissions import find
        from instructgpt_lite.report.text import printable

        if self.out.suffix != ".csv":
            raise ValueError(f"--out {self.out}: name a table that ends in .csv")
        if self.isolation:
            check_isolation()
        found, begun = find(self.submissions), time.monotonic()
        grades = list(tqdm(grade_all(found, self.out, self.isolation, self.limit,
                                     self.jobs), total=len(found), unit="submission"))
        mean = sum(each.points for each in grades) / len(grades)
        took = time.monotonic() - begun
        print(f"{len(grades)} submissions in {took:.0f} s, {mean:.1f} points each")
        print(f"The table:  {self.out}")
        print(f"Feedback:   {self.out.with_suffix('')}/feedback")
        noted = [each for each in grades if each.notes]
        for each in noted[:20]:
            print(printable(f"note: {each.file}: {'; '.join(each.notes)}"[:160]))
        return 0
