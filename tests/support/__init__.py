"""What several tests share: checkpoints, stand-ins, oracles."""
