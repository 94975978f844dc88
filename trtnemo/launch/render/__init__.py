"""One server start, written for a shell, a container engine or a cluster, or a server for one of its clients."""
