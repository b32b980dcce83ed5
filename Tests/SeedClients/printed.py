"""The clients as the documents print them, and what changes in them before they run: host, port and credentials."""

import hashlib
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
ORIGINS = {
    "source-saver": "ws://localhost:3000",
    "astro": "wss://astro.streamelements.com",
    "wave": "wss://ws.wave.inc",
    "grimnir": "wss://radio.example.com",
    "airys": "wss://ws.airys.com",
}
# One that is the beginning of another comes after it.
PLACEHOLDERS = ("YOUR_JWT_TOKEN", "YOUR_OAUTH2_TOKEN", "YOUR_CHANNEL_ID", "wave_live_xxxxx", "stream_abc123",
                "your_jwt_token_here", "your_jwt_token", "your_api_token", "cam_123")
NOT_RUN = {"astro/Program.cs": "Debian 12 has no .NET"}
SUFFIXES = (".js", ".py", ".go", ".cs")


def paths():
    """Every client that is kept here."""
    return sorted(str(path.relative_to(HERE)) for dialect in ORIGINS for path in (HERE / dialect).iterdir()
                  if path.suffix in SUFFIXES)


def groups(path):
    """Where it can run: a browser's script in Node too, on `ws` in place of the browser's own WebSocket."""
    if path in NOT_RUN:
        return ()
    if path == "astro/node.js":
        return ("node",)
    return {".js": ("node", "chromium"), ".py": ("python",), ".go": ("go",)}[pathlib.Path(path).suffix]


def filled(path, origin, credentials):
    """Its text with another origin (`ws://host:port`) and credentials (placeholder → what takes its place)."""
    text, printed = (HERE / path).read_text(), ORIGINS[path.split("/")[0]]
    if path.endswith(".go"):
        # There scheme and host stand apart.
        for before, after in zip(printed.split("://"), origin.split("://")):
            text = text.replace(f'"{before}"', f'"{after}"')
    assert path.endswith(".go") or printed in text, f"{path} does not name {printed}"
    text = text.replace(printed, origin)
    for placeholder in PLACEHOLDERS:
        assert (placeholder in text) == (placeholder in credentials), f"{placeholder} in {path}: {list(credentials)}"
        text = text.replace(placeholder, credentials.get(placeholder, ""))
    return text


def digest(path):
    """Of what the document prints: without the lines of a frame, and without white space, which documents lose."""
    lines = (HERE / path).read_text().splitlines()
    text = "".join(line for line in lines if not line.endswith(" frame"))
    return hashlib.sha256(re.sub(r"\s", "", text).encode()).hexdigest()


def changed():
    """The clients that are no longer as they were printed, by printed.sha256; missing and unknown ones too."""
    known = dict(reversed(line.split("  ")) for line in (HERE / "printed.sha256").read_text().splitlines())
    different = [path for path in set(known) & set(paths()) if known[path] != digest(path)]
    return sorted(different + list(set(known) ^ set(paths())))
