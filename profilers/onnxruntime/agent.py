"""Times .onnx models with ONNX Runtime on the CPU."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))
from ortagent import Loaded, onnxruntime, session_on_cpu, session_options
from pyagent import library_sha256, main


class Profiled(Loaded):
    """One session that times its operations into a file."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        super().__init__(session)
        self._timed = session

    def operations(self, runs: int) -> list:
        """Each operation in its order, with its time in so many runs after the first."""
        path = Path(self._timed.end_profiling())
        found: dict = {}
        for event in json.loads(path.read_text(encoding="utf-8")):
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                found.setdefault((event["args"].get("node_index"), event["name"]), []).append(event)
        path.unlink()
        return [
            {
                "name": f"{events[0]['args']['op_name']} ({name.removesuffix('_kernel_time')})",
                "by": events[0]["args"]["provider"],
                "total_us": sum(event["dur"] for event in events[len(events) // (runs + 1) :]),
            }
            for (_, name), events in found.items()
        ]


class OnnxRuntime:
    """The onnxruntime package."""

    takes = ("shapes", "inputs")

    def identity(self) -> dict:
        """Who this is."""
        folder = Path(onnxruntime.__file__).parent / "capi"
        libraries = sorted(folder.glob("onnxruntime_pybind11_state*"))
        return {
            "agent": "onnxruntime",
            "runtime": "onnxruntime",
            "runtime_version": onnxruntime.__version__,
            "library_sha256": library_sha256(libraries[0]) if libraries else None,
        }

    def open(self, path: str, threads: int) -> Loaded:
        """Load a model with all graph optimisations."""
        return Loaded(session_on_cpu(path, session_options(threads)))

    def open_profiled(self, path: str, threads: int) -> Profiled:
        """The same with the runtime's own profiler."""
        options = session_options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(tempfile.gettempdir()) / f"hwnas-{os.getpid()}")
        return Profiled(session_on_cpu(path, options))


if __name__ == "__main__":
    sys.exit(main(OnnxRuntime()))
