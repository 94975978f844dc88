"""The open training of `tiny`, the embedded model: corpus, tokenizer, network, loop, export."""
