"""What a deployment needs before any GPU is rented: bytes by device, what fits, how fast it can be at best."""
