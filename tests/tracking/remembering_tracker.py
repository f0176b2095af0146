"""A tracker that keeps what it is told in memory, and fails when it is asked to."""

from __future__ import annotations

from collections import Counter


class Remembering:
    """Made anew for each process of a test; ``runs`` stays."""

    name = "memory"

    def __init__(self, place="", runs=None):
        self.place, self.runs = place, {} if runs is None else runs
        self.fails = False
        self.begun = []

    def _told(self, what, *content):
        if self.fails:
            raise ConnectionError("no way to http://me:secret@server?token=abc\nand more")
        self.runs[self.run].append((what, *content))

    def check(self, folder):
        """Nothing is needed."""

    def begin(self, title, folder, run):
        if self.fails:
            raise ConnectionError("no way to http://me:secret@server?token=abc\nand more")
        self.run = run if run in self.runs else f"run{len(self.runs)}"
        self.runs.setdefault(self.run, [])
        self.begun.append((title, self.run))
        return self.run

    def parameters(self, values):
        self._told("parameters", dict(values))

    def scalars(self, points):
        self._told("scalars", list(points))

    def table(self, name, rows):
        self._told("table", name, list(rows))

    def text(self, name, text):
        self._told("text", name, text)

    def file(self, path, name):
        self._told("file", name, path.read_bytes())

    def end(self, status):
        self._told("end", status)

    def of(self, what, run="run0"):
        return [content for kind, *content in self.runs[run] if kind == what]

    def points(self, run="run0"):
        return [point for (points,) in self.of("scalars", run) for point in points]

    def steps(self, name, run="run0"):
        return [point.step for point in self.points(run) if point.name == name]

    def twice(self, run="run0"):
        counted = Counter((point.name, point.step) for point in self.points(run))
        return [key for key, count in counted.items() if count > 1]
