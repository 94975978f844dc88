"""TensorRT's builder API, wrapped: find a library, write a network, build it, read its log, interpret it."""
