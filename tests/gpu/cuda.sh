#!/usr/bin/env bash
# Turn "never run" of our CUDA kernels into numbers, on a machine with an NVIDIA GPU and without a network.
#
# It needs a Python with torch and Triton for the device, this repository, and the wheels of what else trtnemo imports
# where they are not installed. Every part is a process of its own with a limit of its own, and writes JSON.
#
# usage: tests/gpu/cuda.sh [--python PROGRAM] [--wheels DIR] [--output DIR] [--interpret] [--dry-run]
#   --python PROGRAM  the Python to use                 [default: python3]
#   --wheels DIR      wheels to be installed beside it
#   --output DIR      where reports go                  [default: cuda-report]
#   --interpret       no GPU: the same parts over the interpreter, to try this script
#   --dry-run         print what would run, and run nothing
set -euo pipefail
cd "$(dirname "$0")/../.."

python=python3 wheels='' output=cuda-report interpret='' dry=false
while [ $# -gt 0 ]; do
    case $1 in
        --python) python=${2:?--python needs a program}; shift 2 ;;
        --wheels) wheels=${2:?--wheels needs a directory}; shift 2 ;;
        --output) output=${2:?--output needs a directory}; shift 2 ;;
        --interpret) interpret=--interpret; shift ;;
        --dry-run) dry=true; shift ;;
        *) echo "cuda.sh: unknown option $1" >&2; exit 2 ;;
    esac
done
if [ -z "$interpret" ] && ! $dry && ! command -v nvidia-smi >/dev/null; then
    echo "cuda.sh: no nvidia-smi here; --interpret tries the script without a GPU" >&2
    exit 6
fi

failed=0
part() { # name, seconds
    printf '+ timeout %s %s -m tests.gpu.cuda %s %s --report %s\n' "$2" "$python" "$1" "$interpret" "$output/$1.json"
    $dry && return
    # shellcheck disable=SC2086 # an empty option is none
    timeout "$2" "$python" -m tests.gpu.cuda "$1" $interpret --report "$output/$1.json" || failed=5
}

if [ -n "$wheels" ]; then
    printf '+ %s -m pip install --no-index --no-deps --target %s %s/*.whl\n' "$python" "$output/packages" "$wheels"
    $dry || "$python" -m pip install --quiet --no-index --no-deps --target "$output/packages" "$wheels"/*.whl
    export PYTHONPATH=$PWD/$output/packages${PYTHONPATH:+:$PYTHONPATH}
fi
$dry || mkdir -p "$output"
part machine 60
part products 180
part plugins 120
part bandwidth 120
part launches 60
part tiny 240
part prompts 180
part nano 180
part super 300
exit $failed
