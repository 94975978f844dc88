#!/usr/bin/env bash
# The peer: llama.cpp, from the source package of llama-cpp-python.
# usage: peer.sh build DIRECTORY                        (once, about 8 minutes on 2 cores)
#        peer.sh convert DIRECTORY CHECKPOINT OUT.gguf  (PEER_PYTHON: an interpreter with torch and transformers)
set -euo pipefail

version=0.3.36
case "$1" in
build)
    mkdir -p "$2" && cd "$2"
    [ ! -x build/bin/llama-server ] || exit 0
    "${PEER_PYTHON:-python3}" -m pip download --quiet --no-deps --no-binary :all: "llama-cpp-python==$version"
    tar xzf llama_cpp_python-*.tar.gz
    ln -sfn "$PWD/llama_cpp_python-$version/vendor/llama.cpp" src
    # AMX tiles are often compiled for and then refused by the kernel of a virtual machine: its 4-bit products would crash.
    flags=
    case "$(uname -m)" in x86_64) flags="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16" ;; esac
    cmake -S src -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \
        -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" \
        -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF
    cmake --build build -j"$(nproc)" --target llama-bench llama-server llama-quantize
    ;;
convert)
    source=$(realpath "$2")/src
    "${PEER_PYTHON:-python3}" - "$source" "$3" --outfile "$4" <<'PYTHON'
import runpy
import sys

source = sys.argv[1]
sys.path[:0] = [source, source + "/gguf-py"]
import conversion.base

# a home-made tokenizer has no registered hash
conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-2"
# on the disk meanwhile: a model of this machine's size would not fit its memory
sys.argv = ["convert_hf_to_gguf.py", "--use-temp-file", *sys.argv[2:]]
runpy.run_path(source + "/convert_hf_to_gguf.py", run_name="__main__")
PYTHON
    ;;
*)
    echo "usage: peer.sh build DIRECTORY | peer.sh convert DIRECTORY CHECKPOINT OUT.gguf" >&2
    exit 2
    ;;
esac
