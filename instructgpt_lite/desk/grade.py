"""Grades: each exercise of a submission held to its check, with numbers drawn anew.

Visible cases are those of the notebook, and tell the student what is wrong. Points are
for hidden ones, drawn from a secret and the submission itself, so that grading again
gives the same and knowing another's numbers gives nothing.
"""

import csv
import hashlib
import hmac
import io
import json
import re
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path

from instructgpt_lite.desk.assignments import Exercise
from instructgpt_lite.desk.cells import is_open
from instructgpt_lite.desk.remote import Remote, known
from instructgpt_lite.desk.sandbox import Clock, Ended, Process
from instructgpt_lite.desk.submissions import Submission, shown
from instructgpt_lite.files import write_bytes, write_json

HIDDEN = 3                                               # draws of each hidden check
SECONDS = 5.0                                            # of one call
STARTS = 9                                               # processes of one submission
LONGEST = 2_000                                          # characters of a sentence
CANNOT = (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError,
          AttributeError, MemoryError)


@dataclass
class Grade:
    """What a submission is given: points and a sentence for each exercise."""

    student: str
    file: str
    assignment: str
    digest: str
    points: int = 0
    of: int = 0
    exercises: dict[str, dict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Desk:
    """One submission on the desk: its process, which is begun again if it ends."""

    def __init__(self, submission: Submission, isolated: bool, limit: float) -> None:
        self.cells, self.isolated = submission.cells, isolated
        self.optim = any("optim" in cell for cell in self.cells.values())
        self.clock = Clock(limit)
        self.process: Process | None = None
        self.starts = 0
        self.broken: dict[str, str] = {}                 # of each cell, what it did
        self.trouble = ""                                # the first error of a cell

    def try_out(self, exercise: Exercise, seed: int | str) -> str:
        """What the check says with the numbers of `seed`; "" if all is right."""
        name = exercise.name
        try:
            if self.process is None:
                self._begin()
        except Ended as ended:
            return f"{name} {ended}"
        if name in self.broken:
            return self.broken[name]
        try:
            exercise.check(Remote(self.process, name, SECONDS), seed)
        except Ended as ended:
            self.process = None
            self.broken[name] = f"{name} {ended}"
            return self.broken[name]
        except AssertionError as wrong:
            said = shown(str(wrong))[:LONGEST]
            more = self.trouble and said.endswith("raised NameError.")
            return f"{said} A cell before it raised {self.trouble}." if more else said
        except CANNOT as error:
            return f"{name} returned what cannot be compared ({type(error).__name__})."
        return ""

    def _begin(self) -> None:
        """Run the cells in a new process, but for those that have ended one."""
        if self.clock.left <= 0:
            raise Ended("was not tried: the time of this submission is over.")
        self.starts += 1                                 # not on the clock, and slow
        if self.starts > STARTS:
            raise Ended("was not tried: this submission ended too many processes.")
        self.process = Process(self.isolated, self.clock, self.optim)
        for name, source in self.cells.items():
            if name in self.broken:
                continue
            try:
                request = {"cell": source, "wanted": name}
                answer = self.process.ask(request, 2 * SECONDS)
            except Ended as ended:
                self.broken[name] = f"the cell of {name} {ended}"
                self.process = None
                return self._begin()
            error = known(answer["error"]) if answer.get("error") else ""
            self.trouble = self.trouble or error
            if name.startswith("my_") and answer.get("defined") is not True:
                self.broken[name] = (f"the cell of {name} raised {error}."
                                     if error else f"no function {name} is defined.")

    def clear(self) -> None:
        """End what still runs."""
        if self.process:
            self.process.end()


def grade(submission: Submission, secret: bytes, isolated: bool = True,
          limit: float = 20.0) -> Grade:
    """Points and sentences for one submission, within `limit` seconds and one more."""
    found = Grade(submission.student, shown(submission.path.name), "",
                  digest(submission), notes=submission.notes)
    if submission.assignment is None:
        return found
    exercises = submission.assignment.exercises
    found.assignment = submission.assignment.name
    found.of = sum(each.points for each in exercises)
    desk = Desk(submission, isolated, limit)
    try:
        said = {each.name: desk.try_out(each, submission.variant) for each in exercises}
        for each in exercises:                           # only now anything hidden
            key = f"{each.name} {submission.cells}".encode()
            seed = hmac.new(secret, key, "sha256").hexdigest()
            hidden = not said[each.name] and any(
                desk.try_out(each, f"{seed} {n}") for n in range(HIDDEN))
            if hidden:
                said[each.name] = (f"{each.name} passes the cases of the notebook, and "
                                   "not others of the same kind.")
    finally:
        desk.clear()
    for each in exercises:
        if said[each.name] and is_open(submission.cells[each.name], each.name):
            said[each.name] = "not attempted."
        got = 0 if said[each.name] else each.points
        found.exercises[each.name] = {"points": got, "of": each.points,
                                      "said": said[each.name] or "right."}
        found.points += got
    return found


def digest(submission: Submission) -> str:
    """Of the whole notebook: what is graded already need not be graded again.

    "" where it was not read: it may be a link, or without end.
    """
    path = submission.path
    if submission.assignment is None or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def grade_all(submissions: list[Submission], out: Path, isolated: bool = True,
              limit: float = 20.0, jobs: int = 2) -> Iterator[Grade]:
    """Every grade as it is known; what an earlier call finished is read, not repeated.

    Beside `out`, a table, there is a folder of its name: the secret that hidden numbers
    are drawn from, a result and a page of feedback for each student.
    """
    folder = out.with_suffix("")
    for name in ("results", "feedback"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    secret = folder / "secret"
    if not secret.exists():
        write_bytes(secret, secrets.token_hex(16).encode())
    key = secret.read_bytes()

    def one(submission: Submission) -> Grade:
        name = _file_name(submission)
        path = folder / "results" / f"{name}.json"
        found = _finished(path, digest(submission))
        if found is None:
            found = grade(submission, key, isolated, limit)
            write_bytes(folder / "feedback" / f"{name}.html", page(found).encode())
            write_json(path, asdict(found))
        return found

    grades = []
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(one, submissions):
            grades.append(found)
            yield found
    write_bytes(out, table(grades).encode())


def _file_name(submission: Submission) -> str:
    """One for each student and assignment, safe as the name of a file."""
    name = submission.assignment.name if submission.assignment else None
    about = f"{submission.student} {name}"
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in about)
    plain = plain.encode()[:80].decode(errors="ignore")  # names have 255 bytes at most
    return f"{plain}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"


def _finished(path: Path, digest: str) -> Grade | None:
    try:
        found = Grade(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if digest and found.digest == digest else None


def table(grades: list[Grade]) -> str:
    """Comma-separated: a row for each submission, a column for each exercise."""
    names = list(dict.fromkeys(name for each in grades for name in each.exercises))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["student", "assignment", "points", "of", *names, "file", "notes"])
    for each in grades:
        points = [each.exercises.get(name, {}).get("points", "") for name in names]
        row = [each.student, each.assignment, each.points, each.of, *points, each.file,
               "; ".join(each.notes)]
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue()


def _harmless(cell: object) -> object:
    """No formula: spreadsheets run what begins with =, +, - or @; some cut at ;."""
    begins = r"(^|[;\t\r\n])(?=\s*[=+\-@\t\r])"
    return re.sub(begins, r"\1'", cell) if isinstance(cell, str) else cell


def page(found: Grade) -> str:
    """The student's page: points, and for each exercise what helps."""
    rows = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{each['points']} of "
                   f"{each['of']}</td><td>{escape(each['said'])}</td></tr>"
                   for name, each in found.exercises.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in found.notes)
    return f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(found.student)}: {found.points} of {found.of}</title>
<style>:root {{ color-scheme: light dark }} td {{ padding: .4em .8em .4em 0;
vertical-align: top }} body {{ font: 1rem/1.5 system-ui; max-width: 50rem;
margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }}</style>
<h1>{escape(found.student)}</h1>
<p>{escape(found.assignment)}: <b>{found.points} of {found.of} points</b></p>
<table>{rows}</table><ul>{notes}</ul></html>
"""
