"""Reading the bytes of tensors part by part, at the disk's rate and in bounded memory."""
