"""Where ONNX Runtime sessions are made: one thread each, lean in memory. Processes are what uses several cores."""

from pathlib import Path

import onnxruntime


def session(model: bytes | Path) -> onnxruntime.InferenceSession:
    """A session on the CPU for the ONNX model in *model*.

    One thread without spinning: a worker process a core is faster than threads that wait for each other. No memory
    pattern, so that inputs of changing size do not pile up buffers.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
