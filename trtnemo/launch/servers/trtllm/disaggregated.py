"""The YAML file of `trtllm-serve disaggregated`: context and generation servers behind one address.

Source: tensorrt_llm/llmapi/disagg_utils.py of TensorRT-LLM at 0228a712.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.servers.server import Several
from trtnemo.launch.servers.settings import flatten
from trtnemo.launch.servers.trtllm.transfer_issues import between_halves

_SECTIONS = ("context_servers", "generation_servers")
# keys of the front server itself; all others are laid into both sections
_OWN_TEXT = """
    hostname port max_retries perf_metrics_max_requests return_perf_metrics perf_metrics_output_dir node_id
    conditional_disagg_config otlp_config disagg_cluster schedule_style allow_request_chat_template
    gen_strip_message_history gen_tokids_ctxbytes num_workers disagg_coordinator_url
"""
_OWN = frozenset(_OWN_TEXT.split())
_OF_THE_SECTION = ("num_instances", "urls", "router")
_NO_MODEL = "<the model of the workers>"


def read_disaggregated(content: Mapping[str, Any]) -> Several | None:
    """Return the servers that a file puts together, or None where it has none of their sections."""
    sections = {name: content[name] for name in _SECTIONS if isinstance(content.get(name), dict)}
    if not sections:
        return None
    shared = {key: value for key, value in content.items() if key not in (*_OWN, *_SECTIONS)}
    findings = [finding for name, section in sections.items() for finding in _section(name, section, shared)]
    findings += _shared_addresses(sections, shared)
    files = {}
    for name, section in sections.items():
        laid_in = {**shared, **section}
        files[name] = {key: value for key, value in laid_in.items() if key not in (*_OF_THE_SECTION, "model")}
    if len(files) == len(_SECTIONS) and all(files.values()):
        findings += between_halves(*(flatten(files[name]) for name in _SECTIONS))
    models = [given.get("model") for given in (content, *sections.values())]
    model = next((model for model in models if isinstance(model, str)), _NO_MODEL)
    return Several("the file of trtllm-serve disaggregated", model, files, tuple(findings))


def _shared_addresses(sections: Mapping[str, Any], shared: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield a finding for each address that both sections name, where their servers are not meant to be the same."""
    listed = [section.get("urls") for section in sections.values()]
    contents = [
        {key: value for key, value in {**shared, **section}.items() if key not in _OF_THE_SECTION}
        for section in sections.values()
    ]
    if len(listed) < 2 or not all(isinstance(urls, list) for urls in listed) or contents[0] == contents[1]:
        return
    for url in dict.fromkeys(map(str, listed[0])):
        if url in map(str, listed[1]):
            message = f"{url} stands in both sections, which differ; the server stops at start"
            yield Finding("error", "disaggregated-urls", "urls", message, "Give every server an address of its own")


def _section(name: str, section: Mapping[str, Any], shared: Mapping[str, Any]) -> Iterator[Finding]:
    count, urls = section.get("num_instances", 1), section.get("urls")
    if isinstance(urls, list) and urls and len(urls) != count:
        message = f"{len(urls)} addresses for {count} instances; the server stops at start"
        yield Finding("error", "disaggregated-urls", f"{name}.urls", message, "Give one for each instance")
    for url in urls if isinstance(urls, list) else ():
        if not str(url).rpartition(":")[2].isdecimal() or "/" in str(url):
            message = f"{url!r} is not host:port; the server stops at start"
            yield Finding("error", "disaggregated-urls", f"{name}.urls", message, "Write it such as localhost:8001")
    for key in sorted(section.keys() & shared.keys()):
        if section[key] != shared[key]:
            message = f"{section[key]!r} here and {shared[key]!r} at the top; the server stops at start"
            yield Finding("error", "disaggregated-twice", f"{name}.{key}", message, "Say it once")
    own = section.keys() - {*_OF_THE_SECTION}
    if own and "cache_transceiver_config" not in {**shared, **section}:
        message = "without it a worker cannot pass its cache on"
        remedy = "Add cache_transceiver_config: {backend: UCX}"
        yield Finding("warning", "disaggregated-transceiver", f"{name}.cache_transceiver_config", message, remedy)
