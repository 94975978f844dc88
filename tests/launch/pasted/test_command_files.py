"""Files that a pasted line writes, mounts or names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.launch.checked import found
from trtnemo.launch.check import check_invocation
from trtnemo.launch.pasted.command import read_command
from trtnemo.launch.servers.settings import effective_settings


@pytest.mark.parametrize(
    "text",
    [
        "cat > c.yml <<EOF && trtllm-serve m --config c.yml\nmax_batch_size: $SIZE\nEOF\n",
        "cat <<-'EOF' > c.yml; trtllm-serve m --config c.yml > log\nmax_batch_size: 4\nEOF\n",
        "sudo tee c.yml <<EOF\nmax_batch_size: 4\nEOF\ntrtllm-serve m --config ./c.yml",
        "bash -c 'cat > c.yml <<EOF\nmax_batch_size: 4\nEOF\ntrtllm-serve m --config c.yml'",
        "docker run img bash -c 'cat > c.yml <<EOF\nmax_batch_size: 4\nEOF\ntrtllm-serve m --config c.yml'",
    ],
)
def test_a_here_document_is_read_wherever_the_server_is_started(text: str) -> None:
    invocation = read_command(f"SIZE=4\n{text}")
    assert invocation.llm_args == {"max_batch_size": 4}
    assert invocation.findings == ()


IMAGE = "nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc12"


FILE = "cat > c.yml <<EOF\nmax_batch_size: 4\nEOF\n"


@pytest.mark.parametrize(
    ("options", "path", "is_found"),
    [
        ("", "/workspace/c.yml", False),
        ("-v /data:/data", "/workspace/c.yml", False),
        ("-v $(pwd)/c.yml:/workspace/c.yml:ro", "/workspace/c.yml", True),
        ("-v $(pwd):/workspace", "/workspace/c.yml", True),
        ("-v $(pwd):/workspace -w /workspace", "c.yml", True),
        ("-v /data:/data -w /workspace", "c.yml", False),
        ("--mount type=bind,source=./c.yml,target=/c.yml", "/c.yml", True),
        ("-v $(pwd):/workspace", "c.yml", True),
    ],
)
def test_a_file_that_the_container_does_not_see_is_found(options: str, path: str, is_found: bool) -> None:
    text = f"{FILE}docker run {options} {IMAGE} trtllm-serve m --config {path}"
    invocation = read_command(text)
    assert invocation.llm_args == {"max_batch_size": 4}
    assert [finding.rule for finding in invocation.findings] == ([] if is_found else ["file-not-mounted"])


def test_options_in_a_file_of_the_servers_own_are_told_to_be_unread() -> None:
    for text, version in (("vllm serve m --config a.yml", "0.20.0"), ("sglang serve --model-path m --config a", None)):
        assert "a" in found(text, version)["warning", "file-not-read"].message


BOTH = """cat > c.yml <<'EOF'
max_batch_size: 16
kv_cache_config: {dtype: fp8}
EOF
trtllm-serve m --max_batch_size 8 --kv_cache_dtype auto --free_gpu_memory_fraction 0.7 --config c.yml
"""


def test_the_file_beats_the_line_at_rc12_and_the_line_the_file_later() -> None:
    old, new = (check_invocation(read_command(BOTH, version)) for version in ("1.3.0rc12", "1.4"))
    lost = [finding.subject for finding in old.findings if finding.rule == "overridden"]
    assert lost == ["--max_batch_size", "--kv_cache_dtype"]
    lost = [finding.subject for finding in new.findings if finding.rule == "overridden"]
    assert lost == ["max_batch_size", "kv_cache_config.dtype"]
    for version, size, dtype in (("1.3.0rc12", 16, "fp8"), ("1.4", 8, "auto")):
        values = effective_settings(read_command(BOTH, version))
        assert (values.get("max_batch_size"), values.get("kv_cache_config.dtype")) == (size, dtype)
        assert values.get("kv_cache_config.free_gpu_memory_fraction") == 0.7


def test_a_file_of_this_machine_is_read_where_the_text_does_not_write_it(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("max_batch_size: 4\n")
    assert read_command(f"trtllm-serve m --config {tmp_path}/a.yml").llm_args == {"max_batch_size": 4}
    (tmp_path / "a.yml").write_text("- 1\n")
    assert [f.rule for f in read_command(f"trtllm-serve m --config {tmp_path}/a.yml").findings] == ["file-root"]
