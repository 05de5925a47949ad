"""SHA-256 of files, by which `svgd.json` knows those that belong to it.

Hashed are models, which never change. Weights are in the checkpoint, which does: what it holds is checked when
it is loaded.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

_PIECE = 1 << 20


def sha256(path: Path) -> str:
    """The digest of a file, which is read piece by piece, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
