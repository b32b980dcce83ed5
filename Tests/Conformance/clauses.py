"""The contracts, cut into the clauses that cases name."""

import pathlib
import re
import sys

DOCUMENTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "dialects"
NAMES = ("source-saver", "astro", "wave", "grimnir", "airys", "README")
LAST_SECTION = 9


def clauses(name):
    """The clauses of sections 1 to 9 of a contract, in its order.

    A table's row is "<section> <first cell>", its text plain and cut at 60 characters, the second row with the same
    text "<section> <first cell> (2)". An item of a list is "<section> •<n>", a paragraph or a block of code
    "<section> ¶<n>"; both are counted within their section. A heading without a number below one that has it begins
    no section of its own.
    """
    found, section, counts, kind = [], "", {}, None
    for line in (DOCUMENTS / f"{name}.md").read_text().splitlines() + [""]:
        if line.startswith("#") and kind != "code":
            section, counts, kind = _heading(line, section, counts)
            continue
        before, kind = kind, _kind(line, kind)
        mark = _mark(line, before, kind)
        if mark is None or not _is_counted(section):
            continue
        counts[mark] = counts.get(mark, 0) + 1
        if mark in "•¶":
            found.append(f"{section} {mark}{counts[mark]}")
        else:
            found.append(f"{section} {mark}" + (f" ({counts[mark]})" if counts[mark] > 1 else ""))
    return found


def _heading(line, section, counts):
    number = re.match(r"#+ (\d+(?:\.\d+)*)", line)
    if number:
        return number[1], {}, None
    return (section, counts, None) if line.startswith("###") else ("", {}, None)


def _is_counted(section):
    return section != "" and int(section.split(".")[0]) <= LAST_SECTION


def _kind(line, before):
    """What the line belongs to."""
    if line.startswith("```"):
        return "end of code" if before == "code" else "code"
    if before == "code":
        return "code"
    if not line.strip():
        return None
    if line.startswith("|"):
        if before == "head":
            return "rule"
        return "row" if before in ("rule", "row") else "head"
    if re.match(r"\s*([-*]|\d+\.) ", line):
        return "item"
    return "item" if before == "item" else "paragraph"


def _mark(line, before, kind):
    """What a clause that begins with this line is counted under; None if none begins."""
    if kind == "row":
        cells = [plain(cell) for cell in re.split(r"(?<!\\)\|", line)[1:]]
        return next((cell for cell in cells if cell), "row")[:60].strip()
    if kind == "item":
        return "•" if re.match(r"([-*]|\d+\.) ", line) else None
    if kind in ("paragraph", "code"):
        return "¶" if before != kind else None
    return None


def plain(cell):
    """The text without marks of Markdown."""
    pieces = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell.replace("\\|", "|")).split("`")
    pieces[::2] = [prose.replace("*", "") for prose in pieces[::2]]
    return "".join(pieces).strip()


if __name__ == "__main__":
    for each in sys.argv[1:] or NAMES:
        print(f"# {each}", *clauses(each), sep="\n")
