"""`generate_artifacts`, as onnxruntime.training.artifacts has it.

arguments  what its arguments are as options of `convert`, and which are refused
outputs    which outputs the models have
generate   the function
"""
