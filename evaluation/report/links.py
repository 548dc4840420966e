"""Links of a Markdown page to figures."""

import os
import urllib.parse
from pathlib import Path


def image_link(path: Path, base: Path, text: str) -> str:
    """Returns a Markdown link to a figure KIND-NAME.png, relative to the folder `base`."""
    link = urllib.parse.quote(Path(os.path.relpath(path, base)).as_posix())
    return f"![{text}: {path.stem.partition('-')[2]}]({link})"
