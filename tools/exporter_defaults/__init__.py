"""What `torch.onnx.export(dynamo=True)` writes with its defaults at the usual size, beside PyTorch's autograd.

    python3.11 -m venv /tmp/exports
    /tmp/exports/bin/pip install -r tools/exporter_defaults/requirements.txt --editable .
    /tmp/exports/bin/python -m tools.exporter_defaults [NAME...]

Networks are as they are initialized, so that scales and shifts of many layers are equal and stored once.
"""
