"""Files and folders so that nothing is lost: written whole or not at all, by one writer, over nothing else."""

from __future__ import annotations

import os

from svgd_onnx.files.destination import (
    check_destination,
    followed,
    forget_read,
    is_one_of,
    note_read,
    require_text,
)
from svgd_onnx.files.folder_lock import HOLDER_NAME, LOCK_NAME, FolderLock
from svgd_onnx.files.in_use import hold, in_turn, let_go
from svgd_onnx.files.reading import explained_reading, is_there, require_file, require_there
from svgd_onnx.files.room import has_room, require_room
from svgd_onnx.files.unchanged import UnchangedFiles
from svgd_onnx.files.whole import name_again, whole_file, whole_folder
from svgd_onnx.files.workplace import (
    abandon,
    clear,
    explained,
    recover,
    temporary_folder,
    temporary_place,
    temporary_room,
)

PathLike = str | os.PathLike[str]

FOLDER_FILES = (LOCK_NAME, HOLDER_NAME)
"""What lies in a folder while, and after, one process wrote into it."""

__all__ = [
    "FOLDER_FILES",
    "FolderLock",
    "PathLike",
    "UnchangedFiles",
    "abandon",
    "check_destination",
    "clear",
    "explained",
    "explained_reading",
    "followed",
    "forget_read",
    "has_room",
    "hold",
    "in_turn",
    "is_one_of",
    "is_there",
    "let_go",
    "name_again",
    "note_read",
    "recover",
    "require_file",
    "require_room",
    "require_text",
    "require_there",
    "temporary_folder",
    "temporary_place",
    "temporary_room",
    "whole_file",
    "whole_folder",
]
