"""An engine of TensorRT plans beside the torch backend, step by step."""
