"""Objects of Kubernetes from a server start: what the forms for clusters are put together from."""
