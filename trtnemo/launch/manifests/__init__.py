"""Manifests of Kubernetes judged without a cluster: by schemas, and by rules on what schemas cannot say."""
