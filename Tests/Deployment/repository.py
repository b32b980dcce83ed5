"""What the repository says: its files, and what was found wrong with them."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVICES = ("auth", "obs-bridge", "stream-metrics", "radio-playout", "camera-events", "performance-monitor")
# Within these a gateway has ended, whatever its clients do (docs/operations.md, Ending a gateway).
DRAIN_SECONDS = 30
failures = []


def check(holds, text):
    """Remembers what does not hold."""
    if not holds:
        failures.append(text)


def run(*command):
    """What a command prints; a complaint of it is a failure."""
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    check(ended.returncode == 0, f"{' '.join(map(str, command))}: {(ended.stderr or ended.stdout).strip()}")
    return ended.stdout


def documented(path, heading, column=0):
    """The first cells in code font of a table's rows under a heading."""
    text = (ROOT / path).read_text()
    _, _, section = text.partition(f"\n## {heading}\n")
    rows = [line.split("|")[1:-1] for line in section.split("\n## ")[0].splitlines() if line.startswith("|")]
    return {match[1] for row in rows if (match := re.match(r"\s*`([^`]+)`", row[column]))}


def variables():
    """The configuration's variables, as one pattern."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    names = {name.replace("<SERVICE>", "(?:AUTH|OBS_BRIDGE|STREAM_METRICS|RADIO_PLAYOUT|CAMERA_EVENTS|PERFORMANCE_MONITOR)")
             for name in re.findall(r"^\| `[^`]+` \| `([A-Z_<>]+)`", text, re.MULTILINE)}
    return re.compile("|".join(sorted(names)))
