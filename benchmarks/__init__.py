"""Speed as ratios: our CPU runtime against llama.cpp and this machine's own bandwidth, in one run (`make bench`)."""
