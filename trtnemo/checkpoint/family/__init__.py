"""What the Nemotron-H family is: configs, quantization maps, the tensors that they promise, the model card's scores."""
