"""What the Triton kernels of all plugins share: formats of weights in registers, tiles, launches, compilation.

Importing a module that defines kernels imports Triton and fixes whether they are interpreted (`mode.py`).
"""
