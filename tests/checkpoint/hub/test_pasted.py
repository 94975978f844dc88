"""Names of models as strangers paste them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtnemo.checkpoint.hub.pasted import PastedName, read_pasted
from trtnemo.checkpoint.hub.source import find_directory
from trtnemo.errors import CheckpointError, UsageError
from trtnemo.launch.asked import AskedModel, asked_model

NANO = "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        # ollama/ollama issue 7268: names that begin with a site, hf.co or a mirror
        (f"hf.co/{NANO}", NANO, None),
        ("hf-mirror.com/owner/name", "owner/name", None),
        # vllm-project/vllm pull 20793: whole addresses of the site
        (f"https://huggingface.co/{NANO}", NANO, None),
        (f"https://huggingface.co/{NANO}/tree/main", NANO, None),
        (f"https://huggingface.co/{NANO}/blob/{COMMIT}/config.json", NANO, COMMIT),
        ("HTTPS://HuggingFace.co/owner/name?library=vllm#files", "owner/name", None),
        ("https://huggingface.co/owner/name/discussions/3", "owner/name", None),
        # huggingface/huggingface_hub pull 4549: its own form of address, and one without a scheme
        ("hf://owner/name@v1.0", "owner/name", "v1.0"),
        ("huggingface.co/owner/name", "owner/name", None),
        # Blaizzy/mlx-vlm issue 324, axolotl pull 272: a revision behind the name
        (f"owner/name@{COMMIT}", "owner/name", COMMIT),
        (f"{NANO}@main", NANO, None),
        # open-webui/open-webui issue 9400: the tag that ollama gives to everything
        ("owner/name:latest", "owner/name", None),
        ("nano:latest", "nano", None),
        # taishan1994/pytorch_GlobalPointer_Ner issue 3: a slash at the end
        (f"{NANO}/", NANO, None),
        # ollama/ollama issues 336 and 6783: the case of letters
        (NANO.upper(), NANO, None),
        (NANO.lower(), NANO, None),
        (NANO.rpartition("/")[2], NANO, None),
        (f"  {NANO}\n", NANO, None),
        # bitsandbytes issue 398: paths stay what they are
        ("/path/to/weights/", "/path/to/weights/", None),
        ("../hub/base/", "../hub/base/", None),
        ("a/b/c", "a/b/c", None),
    ],
)
def test_pasted_form_gives_the_hub_id(text: str, name: str, revision: str | None) -> None:
    assert read_pasted(text) == PastedName(name, revision)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # vllm-project/vllm pull 29137, ollama issue 7268: a quantization of GGUF as a tag, or a file of it
        ("owner/name-GGUF:Q4_K_M", "llama.cpp"),
        ("owner/name:fp8", "precision is part of"),
        ("https://huggingface.co/owner/name/resolve/main/name-Q4_K_M.gguf", "GGUF file"),
        ("https://github.com/NVIDIA/name", "address of github.com"),
        ("https://huggingface.co/datasets/owner/name", "data set"),
    ],
)
def test_what_is_no_model_is_refused_in_words(text: str, told: str) -> None:
    with pytest.raises(CheckpointError, match=told) as raised:
        read_pasted(text)
    assert raised.value.remedy


def test_endpoint_of_ones_own_is_a_site(monkeypatch: pytest.MonkeyPatch) -> None:
    # huggingface/huggingface_hub pull 4549: addresses below a custom endpoint with a port
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.local:8080")
    assert read_pasted("http://hub.local:8080/owner/name").name == "owner/name"
    assert read_pasted("hub.local:8080/owner/name").name == "owner/name"


def test_other_commands_are_told_the_id() -> None:
    with pytest.raises(CheckpointError, match=r"Give owner/name, with the revision v2$"):
        find_directory("https://huggingface.co/owner/name/tree/v2")


def test_directory_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name@v1").mkdir(parents=True)
    assert asked_model("owner/name@v1") == AskedModel("owner/name@v1")
    assert asked_model("owner/name@v2") == AskedModel(
        "owner/name", "v2", "owner/name@v2 is read as owner/name at revision v2"
    )


def test_two_revisions_are_one_too_many() -> None:
    with pytest.raises(UsageError, match="names revision v1"):
        asked_model("owner/name@v1", "v2")
    assert asked_model("owner/name@v1", "v1").revision == "v1"


@pytest.mark.parametrize(("word", "near"), [("nano:latest", "nano-cpu"), ("Nemotron-3-Nano-30B-A3B", "Nano-30B")])
def test_word_that_is_nothing_gets_the_nearest_name(word: str, near: str) -> None:
    # SvenBrnn/runpod-worker-ollama issue 4: a size that a library does not have
    with pytest.raises(CheckpointError, match=f"did you mean '[^']*{near}"):
        asked_model(word)
