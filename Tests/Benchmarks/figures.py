"""Figures of several rounds, and tables of them."""

import statistics


class Spread:
    """What some rounds measured: least, median, most."""

    def __init__(self, values):
        self.values = [value for value in values if value is not None]

    def __bool__(self):
        return bool(self.values)

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    def text(self, show=None):
        """`median (least–most)`."""
        if not self.values:
            return "–"
        show = show or number
        if len(self.values) == 1:
            return show(self.median)
        return f"{show(self.median)} ({show(min(self.values))}–{show(max(self.values))})"


def number(value):
    """With as many digits as say something."""
    if value is None:
        return "–"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f}M"
    if abs(value) >= 10e3:
        return f"{value / 1e3:.0f}k"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def table(head, rows):
    """A Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def ratios(ours, theirs):
    """Round by round, so that both were measured in the same minute."""
    return Spread([mine / yours for mine, yours in zip(ours, theirs) if mine is not None and yours])


class Bar:
    """What a figure is to reach, and what it is."""

    def __init__(self, scenario, what, target, spread, is_met, show=number):
        self.scenario, self.what, self.target, self.spread, self.show = scenario, what, target, spread, show
        self.is_met = bool(spread) and is_met(spread.median)

    @property
    def row(self):
        verdict = ("yes" if self.is_met else "**no**") if self.spread else "not measured"
        return self.scenario, self.what, self.target, self.spread.text(self.show), verdict
