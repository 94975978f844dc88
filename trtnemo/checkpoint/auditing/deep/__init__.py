"""Every value of every tensor, read once at the disk's rate: what no quantizer and no training writes."""
