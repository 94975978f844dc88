"""HTTP by uvicorn and httptools, with the bounds that they leave to others."""
