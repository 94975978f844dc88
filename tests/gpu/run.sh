#!/usr/bin/env bash
# Turn "never run" into numbers, on a machine with an NVIDIA GPU.
#
# usage: tests/gpu/run.sh [--card NAME] [--output DIR] [--full] [--dry-run]
#   --card NAME   a file of tests/gpu/cards; without it the GPU's name is looked up
#   --output DIR  where engines and reports go             [default: gpu-report]
#   --full        the card's full-size checkpoint too, fetched from the hub
#   --dry-run     print what would run, and run nothing
set -euo pipefail
cd "$(dirname "$0")/../.."

card='' output=gpu-report full=false dry=false
while [ $# -gt 0 ]; do
    case $1 in
        --card) card=${2:?--card needs a name}; shift 2 ;;
        --output) output=${2:?--output needs a directory}; shift 2 ;;
        --full) full=true; shift ;;
        --dry-run) dry=true; shift ;;
        *) echo "run.sh: unknown option $1" >&2; exit 2 ;;
    esac
done

find_card() {
    case $(nvidia-smi --query-gpu=name --format=csv,noheader -i 0) in
        *"RTX PRO 6000"*) echo rtx-pro-6000 ;;
        *"GB10"*) echo dgx-spark ;;
        *"RTX 5090"*) echo rtx-5090 ;;
        *) return 1 ;;
    esac
}

if [ -z "$card" ]; then
    command -v nvidia-smi >/dev/null || { echo "run.sh: no nvidia-smi here; give --card with --dry-run" >&2; exit 6; }
    card=$(find_card) || { echo "run.sh: no card file for this GPU; add one to tests/gpu/cards" >&2; exit 6; }
fi
file=tests/gpu/cards/$card.env
[ -f "$file" ] || { echo "run.sh: no card '$card': $(ls tests/gpu/cards)" >&2; exit 2; }
# shellcheck source=/dev/null
. "$file"

step() {
    printf '+ %s\n' "$*"
    $dry || "$@"
}

bin=$output/venv/bin
step mkdir -p "$output"
step python3 -m venv "$output/venv"
step "$bin/pip" install --quiet '.[tensorrt]'
step "$bin/trtnemo" doctor
failed=0
measure_tiny() {
    local name=$1 engine=$output/tiny-$1
    shift
    step "$bin/trtnemo" build --recipe "$RECIPE" --checkpoint tiny --output "$engine" --force \
        --set "hardware.compute_capability=$CAPABILITY" --set limits.max_seq_len=4096 \
        --set speculation.draft_tokens=3 "$@"
    step "$bin/python" tests/gpu/measure.py "$engine" --report "$output/tiny-$name.json" || failed=5
}
measure_tiny float32 --set tensorrt.matmul_dtype=float32
measure_tiny bfloat16
measure_tiny no-graphs --set tensorrt.cuda_graphs=false
if $full; then
    engine=$output/full
    step "$bin/trtnemo" fetch "$CHECKPOINT"
    step "$bin/trtnemo" build --recipe "$RECIPE" --output "$engine" --force
    step "$bin/python" tests/gpu/measure.py "$engine" --no-compare --report "$output/full.json"
fi
step "$bin/python" -c 'import pathlib, sys; print(*(path.read_text() for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json"))))' "$output"
exit $failed
