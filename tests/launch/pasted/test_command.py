"""Pasted commands are read, never run, and checked as their server would."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.launch.checked import found
from tests.support.launch.machine import card
from trtnemo.errors import TrtnemoError, UsageError
from trtnemo.launch.check import check_invocation
from trtnemo.launch.pasted.command import read_command
from trtnemo.launch.pasted.shell.script import read_script

SUPER = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4"


def test_the_cards_vllm_line_stops_at_swap_space() -> None:
    finding = found(card("vllm"))["error", "vllm-swap-space"]
    assert finding.subject == "--swap-space"
    assert "Leave it out" in finding.remedy


def test_the_cards_vllm_line_alone_is_held_against_the_oldest_record() -> None:
    line = card("vllm").partition("export")[2]
    report = check_invocation(read_command(f"export{line}"))
    assert [(finding.severity, finding.rule) for finding in report.findings] == [
        ("error", "vllm-swap-space"),
        ("note", "record"),
    ]


def test_a_known_issue_never_hides_what_the_parser_refuses() -> None:
    rules = {
        finding.rule
        for finding in check_invocation(
            read_command("trtllm-serve m --max_batch_size 8 --tool_parser x --reasoning_parser nano_v9", "1.3.0rc7")
        ).findings
    }
    assert {"option-value", "trtllm-tool-call-in-thinking"} <= rules


def test_the_cards_spark_line_passes_and_its_quantization_is_ignored() -> None:
    findings = found(card("vllm-spark"))
    assert {severity for severity, _ in findings} == {"note"}
    assert "'fp4', which is not a method that vLLM knows" in findings["note", "vllm-quantization"].message


def test_the_cards_tensorrt_llm_block_meets_13179() -> None:
    findings = found(card("trtllm"))
    assert "enable_padding: false" in findings["warning", "trtllm-13179"].remedy
    assert not [severity for severity, _ in findings if severity == "error"]


def test_the_cards_sglang_line_keeps_its_flag_and_says_that_no_image_was_read() -> None:
    assert "image not read" in found(card("sglang"))["note", "sglang-piecewise-cuda-graph"].message
    assert found(card("sglang"), "0.5.23")["error", "unknown-option"].subject == "--disable-piecewise-cuda-graph"


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("trtllm-serve m --max_batch_size 8 --max_batch_sise 8", ("error", "unknown-option"), "--max_batch_size"),
        (f"trtllm-serve {SUPER} --tp_size 3 --max_batch_size 8", ("error", "trtllm-tensor-parallel"), "1, 2, 4 or 8"),
        (f"trtllm-serve {SUPER}", ("error", "trtllm-default-batch"), "160 GiB"),
        ("trtllm-serve m --max_batch_size 8 --config gone.yml", ("warning", "file-not-read"), "gone.yml"),
        ("vllm serve m --reasoning-parser super_v3", ("error", "vllm-reasoning-parser"), "plugin"),
        (
            "vllm serve m --tool-call-parser qwen --enable-auto-tool-choice",
            ("error", "vllm-tool-parser"),
            "qwen3_coder",
        ),
        ("vllm serve m stray", ("error", "stray-word"), "not an option's value"),
        ("docker run -e HF_TOKEN=hf_abc vllm/vllm-openai:v0.20.0 m", ("warning", "secret-in-command"), "-e HF_TOKEN"),
        ("docker run -e VLLM_USE_FLASHINFER=1 vllm/vllm-openai:v0.20.0 m", ("warning", "unknown-variable"), "VLLM_"),
        (
            "docker run -p 8000:8000 nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc12 trtllm-serve m --max_batch_size 8",
            ("warning", "container-host"),
            "--host 0.0.0.0",
        ),
        ("vllm serve m --cpu-offload-gb much", ("error", "option-value"), "not a number"),
    ],
)
def test_mistakes_are_found(text: str, key: Any, words: str) -> None:
    assert words in found(text, "1.3.0rc12" if text.startswith("trtllm") else "0.20.0")[key].text


def test_a_secret_of_a_pasted_line_is_not_kept() -> None:
    invocation = read_command("docker run -e HF_TOKEN=hf_abc vllm/vllm-openai:v0.20.0 model --api-key hf_abc")
    assert invocation.env == {"HF_TOKEN": None}
    assert "hf_abc" not in repr(invocation)
    assert [finding.rule for finding in invocation.findings] == ["secret-in-command"] * 2


SECRETS = [
    "VLLM_API_KEY=sk-1 vllm serve m",
    "export VLLM_API_KEY=sk-1; vllm serve m",
    "env VLLM_API_KEY=sk-1 vllm serve m",
    "bash -c 'VLLM_API_KEY=sk-1 vllm serve m'",
    "docker run -e VLLM_API_KEY=sk-1 vllm/vllm-openai:v0.20.0 m",
    "vllm serve m --api-key sk-1",
    "vllm serve m --api-key=sk-1 sk-1",
    "sglang serve --model-path m --api-key sk-1",
    "trtllm-serve m --api-key sk-1",
    "trtllm-serve m --api-key=sk-1",
]


@pytest.mark.parametrize("text", SECRETS)
def test_the_value_of_a_secret_is_never_told(text: str) -> None:
    report = check_invocation(read_command(text))
    assert "sk-1" not in repr(report).replace("subject='sk-1'", "")
    assert "sk-1" not in repr(read_command(text).env)


@pytest.mark.parametrize(
    "text",
    [
        f"vllm serve {SUPER} > out.log 2>&1 &",
        f"vllm serve {SUPER} >> out.log 2> err.log",
        f"vllm serve {SUPER} --port 8001 &> out.log",
        f"nohup vllm serve {SUPER} </dev/null >out.log 2>&1 &",
        f"vllm serve {SUPER} 2>&1 | tee out.log",
        f"env VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve {SUPER} --max-model-len 1048576",
        f"sudo -E -u me env -u X VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve {SUPER} --max-model-len 1048576",
        f"set -a; VLLM_ALLOW_LONG_MAX_MODEL_LEN=1; vllm serve {SUPER} --max-model-len 1048576",
        f"vllm serve {SUPER} -O3 -cc.cudagraph_mode=FULL -tp=1",
        f"vllm serve {SUPER} -O 3",
        "docker run --log-opt max-size=10m --group-add video --add-host a:b --cap-drop ALL --dns 1.1.1.1 --sysctl a=b "
        f"--tmpfs /x --userns host --stop-timeout 60 --init -itp 8000:8000 vllm/vllm-openai:v0.20.0 {SUPER}",
        "export VLLM_ALLOW_LONG_MAX_MODEL_LEN=1; docker run -e VLLM_ALLOW_LONG_MAX_MODEL_LEN vllm/vllm-openai:v0.20.0 "
        f"{SUPER} --max-model-len 1048576",
        f"docker run --network host vllm/vllm-openai:v0.20.0 {SUPER} --host 127.0.0.1",
    ],
)
def test_an_ordinary_line_is_read_without_a_finding(text: str) -> None:
    report = check_invocation(read_command(text, "0.20.0"))
    assert (report.model, report.findings) == (SUPER, [])


def test_a_published_port_that_is_not_the_servers_is_found() -> None:
    line = f"docker run %s vllm/vllm-openai:v0.20.0 {SUPER} --port 8123"
    assert "listens on 8123" in found(line % "-p 8123:8000")["warning", "container-port"].message
    for options in ("-p 8000:8123", "--network host -p 8000:8000", "--net=host"):
        assert found(line % options) == {}


def test_a_variable_that_is_not_exported_is_not_the_servers() -> None:
    findings = found(f"VLLM_ALLOW_LONG_MAX_MODEL_LEN=1\nvllm serve {SUPER} --max-model-len 1048576", "0.20.0")
    assert findings.keys() == {("warning", "not-exported"), ("error", "vllm-long-context")}
    exported = f"VLLM_ALLOW_LONG_MAX_MODEL_LEN=1\nexport VLLM_ALLOW_LONG_MAX_MODEL_LEN\nvllm serve {SUPER}"
    assert found(exported, "0.20.0") == {}


def test_a_misspelt_variable_in_front_of_a_command_is_found() -> None:
    for text in (f"VLLM_USE_FLASHINFER=1 vllm serve {SUPER}", f"export VLLM_USE_FLASHINFER=1; vllm serve {SUPER}"):
        assert found(text, "0.20.0").keys() == {("warning", "unknown-variable")}
    assert read_command("CUDA_VISIBLE_DEVICES=1 vllm serve m").env == {"CUDA_VISIBLE_DEVICES": "1"}


def test_a_placeholder_is_a_word() -> None:
    assert read_command("vllm serve <your-model> --port 8000").model == "<your-model>"


def test_what_another_versions_record_refuses_is_a_warning() -> None:
    text = "vllm serve m --no-such-option 1 --moe-backend nobodys"
    assert {finding.severity for finding in check_invocation(read_command(text, "0.20.0")).findings} == {"error"}
    report = check_invocation(read_command(text, "0.25.0"))
    assert [finding.severity for finding in report.findings] == ["warning", "warning", "note"]
    assert report.findings[-1].message == "there is no record of 0.25.0: checked against vLLM 0.22.0"
    assert report.passed


@pytest.mark.parametrize(
    ("text", "server", "model"),
    [
        ("python -m vllm.entrypoints.openai.api_server --model m", "vllm", "m"),
        ("python3 -m sglang.launch_server --model m", "sglang", "m"),
        ("sglang serve --model-path m", "sglang", "m"),
        ("TLLM_ALLOW_LONG_MAX_MODEL_LEN=1 trtllm-serve serve m", "trtllm", "m"),
        ("cd /x && export A=m; vllm serve $A", "vllm", "m"),
        ("srun --mpi=pmix trtllm-llmapi-launch trtllm-serve m --tp_size 8", "trtllm", "m"),
        ("docker run --gpus all -p8000:8000 img:1 vllm serve m", "vllm", "m"),
        ("sudo -E docker run --rm vllm/vllm-openai:v0.20.0 --model m", "vllm", "m"),
        ("docker container run vllm/vllm-openai:v0.20.0 m", "vllm", "m"),
        ("docker run img bash -lc 'cd /x && trtllm-serve m --max_batch_size 8'", "trtllm", "m"),
        ("docker run --entrypoint bash img -c 'vllm serve m'", "vllm", "m"),
        ("nohup bash -c 'A=m; vllm serve $A' &", "vllm", "m"),
        ("podman run --rm nvcr.io/nvidia/tensorrt-llm/release:1.3.0rc12 trtllm-serve m", "trtllm", "m"),
    ],
)
def test_every_way_of_starting_is_known(text: str, server: str, model: str) -> None:
    invocation = read_command(text)
    assert (invocation.server, invocation.model) == (server, model)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds none of these commands: trtllm-serve"),
        ("ls -la", "holds none of these commands: trtllm-serve"),
        ("vllm serve $(cat model)", "command substitution is not evaluated"),
        ("trtllm-serve m --config <(echo a)", "command substitution is not evaluated"),
        ("vllm serve `id`", "command substitution is not evaluated"),
        ("vllm serve 'm", "not valid shell text"),
        ("cat > a << EOF\nx", "not closed by EOF"),
        ("docker run --rm", "names no image"),
        ("vllm serve --port 8000", "names no model"),
        ("trtllm-serve disaggregated -c x.yml", "its YAML file, which is not in the text"),
        ("x" * 70000, "longer than 65536 bytes"),
    ],
)
def test_what_cannot_be_read_is_refused(text: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        read_command(text)


def test_reading_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    for text in (f"touch {target}; vllm serve m", f"vllm serve m > {target}", f"vllm serve m | tee {target}"):
        read_command(text)
    assert not target.exists()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab -\\'\"$`<>|&;\n=/:.{}E", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    before = set(os.listdir())
    for line in (text, f"vllm serve m {text}", f"docker run {text} vllm/vllm-openai:v0.20.0 m {text}"):
        try:
            read_script(line)
            report = check_invocation(read_command(line))
        except TrtnemoError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert report.passed == (not report.unread and all(f.severity != "error" for f in report.findings))
            assert all(finding.rule and finding.message for finding in report.findings)
    assert set(os.listdir()) == before


DROPPED = [
    "vllm serve {model}\n  --tensor-parallel-size 2\n  --swap-space 0\n",
    "vllm serve {model} \\\n --reasoning-parser nemotron_v3 \\\n # drop this\n --swap-space 0\n",
    "docker run vllm/vllm-openai:v0.20.0 {model}\n --swap-space 0",
    "docker run --entrypoint bash vllm/vllm-openai:v0.20.0 -c 'vllm serve {model}\n--swap-space 0'",
    "python3 -m sglang.launch_server --model-path {model} --port 1\n--tp-size 2\necho started",
    "trtllm-serve {model} --max_batch_size 8\n\n--port=1",
]


@pytest.mark.parametrize("text", DROPPED)
def test_an_option_on_a_line_that_the_command_does_not_reach_is_an_error(text: str) -> None:
    report = check_invocation(read_command(text.format(model=SUPER), None))
    dropped = [finding.subject for finding in report.findings if finding.rule == "line-dropped"]
    assert dropped in (["--tensor-parallel-size", "--swap-space"], ["--swap-space"], ["--tp-size"], ["--port"])
    assert not report.passed


def test_what_follows_a_command_and_is_one_is_no_dropped_line() -> None:
    text = f"vllm serve {SUPER} --port 1 &\nsleep 5\ncurl --fail localhost:1/health"
    assert "line-dropped" not in {rule for _, rule in found(text, "0.20.0")}


@pytest.mark.parametrize(
    ("setting", "word", "value"),
    [
        ("", "${PORT:-8000}", 8000),
        ("", "${PORT-8000}", 8000),
        ("", "${PORT:=8000}", 8000),
        ("PORT=1\n", "${PORT:-8000}", 1),
        ("PORT=\n", "${PORT:-8000}", 8000),
        ("", "${PORT:-${OTHER:-8000}}", 8000),
        ('BASE=9\nPORT="${PORT:-${BASE}000}"\n', "$PORT", 9000),
        ('BASE=9\nPORT="${PORT:-$BASE}"\n', "$PORT", 9),
    ],
)
def test_a_variables_default_is_its_value_where_the_text_sets_none(setting: str, word: str, value: int) -> None:
    invocation = read_command(f"{setting}exec vllm serve {SUPER} --port {word}", "0.20.0")
    assert (invocation.model, invocation.options, invocation.findings) == (SUPER, {"--port": value}, ())


@pytest.mark.parametrize("word", ["$PORT", "${PORT}", "${PORT:-$OTHER}", "1$PORT"])
def test_a_variable_that_nobody_sets_is_told(word: str) -> None:
    finding = found(f"vllm serve {SUPER} --served-model-name {word}", "0.20.0")["warning", "variable-not-set"]
    assert finding.subject in word
