# Default target: a CPU image that serves the embedded model.
#   docker build -t trtnemo . && docker run --rm -p 127.0.0.1:8123:8123 trtnemo
# Without keys it is for this machine alone, as -p says; for others mount a file of keys:
#   docker run --rm -p 8123:8123 -v ./keys:/keys:ro trtnemo \
#     trtnemo serve --recipe tiny --host 0.0.0.0 --api-key-file /keys
# Target trtllm: this package on the TensorRT-LLM release image, for the recipes with `runtime: trtllm`.
#   docker build --target trtllm -t trtnemo:trtllm .
# `make image` builds the first with buildah, on a base of Debian's packages, and lets it answer: it did on 30 November 2026.
# CI builds neither, and the second was never built.

FROM nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc12 AS trtllm
WORKDIR /opt/trtnemo
COPY . .
# no extra: torch and everything else on CUDA is the image's own
RUN python3 -m pip install --no-cache-dir .
ENTRYPOINT ["trtnemo"]
CMD ["doctor"]

FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN python -m venv /opt/trtnemo \
    && /opt/trtnemo/bin/pip install --no-cache-dir -c constraints.txt . \
    && cd / && /opt/trtnemo/bin/python -c 'import trtnemo._native'

FROM python:3.11-slim-bookworm AS cpu
COPY --from=build /opt/trtnemo /opt/trtnemo
ENV PATH=/opt/trtnemo/bin:$PATH
RUN useradd --create-home serve
USER serve
WORKDIR /home/serve
RUN trtnemo build --recipe tiny
EXPOSE 8123
HEALTHCHECK CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8123/health')"]
CMD ["trtnemo", "serve", "--recipe", "tiny", "--host", "0.0.0.0", "--insecure"]
