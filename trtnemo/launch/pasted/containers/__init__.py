"""Containers around a server, however a text runs them: Docker, Compose, Kubernetes, Slurm with pyxis, Apptainer."""
