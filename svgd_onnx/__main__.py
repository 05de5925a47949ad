"""`python -m svgd_onnx` is `svgd-onnx`."""

from svgd_onnx.cli import main

main()
