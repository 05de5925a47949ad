"""Which provider runs which operators of a step, as onnxruntime tells; what none takes, the processor runs."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from svgd_onnx.files import temporary_place

_RECORD = "session.record_ep_graph_assignment_info"


class Placement:
    """Finds out where the nodes of a session run.

    onnxruntime tells of its own from 1.24 on, when a session is opened. Before that a profile of the first run
    does, in which a graph that a provider compiled is one node.

    Attributes:
        nodes: how many of each operator, by the provider that runs them; empty before it is known.
    """

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.nodes: dict[str, Counter[str]] = {}

    def prepare(self, onnxruntime: Any, options: Any) -> None:
        """Has a session that is to be opened with these options tell."""
        if hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info"):
            options.add_session_config_entry(_RECORD, "1")
        elif not options.enable_profiling:
            self._folder = tempfile.TemporaryDirectory(dir=temporary_place())
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(self._folder.name) / "step")

    def opened(self, session: Any) -> None:
        """Asks a session that was opened with them."""
        if hasattr(session, "get_provider_graph_assignment_info"):
            for subgraph in session.get_provider_graph_assignment_info():
                operators = self.nodes.setdefault(subgraph.ep_name, Counter())
                operators.update(node.op_type for node in subgraph.get_nodes())

    def ran(self, session: Any) -> bool:
        """Asks it after a run, if that is still to be asked; whether it was."""
        if self._folder is None:
            return False
        events = json.loads(Path(session.end_profiling()).read_text())
        self._folder.cleanup()
        self._folder = None
        for event in events:
            facts = event.get("args", {})
            if facts.get("provider"):
                self.nodes.setdefault(facts["provider"], Counter())[facts["op_name"]] += 1
        return True
