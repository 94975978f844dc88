"""The rules of an audit as data: what each finds, what it does at run time, what to do, and what a repair writes."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.findings import Finding, Severity


@dataclass(frozen=True)
class Rule:
    """One rule; `repair` says what `check --repair` writes, and is empty where json files cannot mend it.

    `inferred` rules stand on facts that nobody has confirmed on a released checkpoint: they never fail an audit.
    """

    name: str
    severity: Severity
    finds: str
    effect: str
    remedy: str
    repair: str = ""
    inferred: bool = False


_DOWNLOAD = "Download the file again"
_QUANTIZE = "Quantize again: `trtnemo quantize` writes formats per layer"
_TABLE = (
    # tensors
    Rule("tensor-missing", "error", "a tensor that config and map promise is in no shard",
         "some engines refuse the load; others leave it at its first value, and every answer is garbage", _DOWNLOAD),
    Rule("layout-other", "error", "tensors have names that another program gives them, or hold all experts of a layer",
         "servers that read the hub's layout refuse the load, or leave experts at their first values",
         "`trtnemo convert` writes the hub's layout"),
    Rule("tensor-unexpected", "error", "a tensor belongs to no layer in its declared format",
         "strict loaders refuse it; lax ones drop it silently", "Compare config.json with where the weights are from"),
    Rule("tensor-shape", "error", "a tensor's shape differs from what config.json gives",
         "the load fails, or rows are read at wrong places", "Compare config.json with where the weights are from"),
    Rule("tensor-dtype", "error", "a tensor is stored in another element type than its layer's format has",
         "bits are read as another type: garbage", _QUANTIZE),
    Rule("format-mismatch", "error", "a linear weight is stored in another format than the quantization map says",
         "an engine that believes the map (a mixed checkpoint read as plain NVFP4) reads codes as numbers: garbage",
         "Repair the map", "the map as the tensors show it"),
    Rule("groups-mismatch", "error", "a linear weight is stored otherwise than config_groups and ignore say",
         "the load fails, or the weight is read as another format", "Put the module into `ignore` or a group's targets "
         "in config.json, as its tensors are"),
    Rule("scale-not-finite", "error", "a scale is infinite or not a number", "one such scale spoils every answer",
         _QUANTIZE),
    Rule("scale-not-positive", "error", "a scale is zero or negative",
         "its block reads as zero or with its sign turned", _QUANTIZE),
    Rule("codec-disagrees", "error", "a sampled weight decodes otherwise with ModelOpt's own classes (--modelopt)",
         "trtnemo, ModelOpt or the file is wrong about this format", "Report it, with the tensor's name"),
    Rule("block-scale-zero", "warning", "a block scale is zero",
         "its 16 weights read as zero, which is right only where they were", _QUANTIZE, inferred=True),
    Rule("mtp-missing", "error", "config.json promises an MTP head, and no mtp.* tensor is there",
         "a server configured to draft fails to load or drafts from unset weights",
         "Carry the head over from the BF16 checkpoint: `check --repair OUT --source DIR`",
         "the head linked from --source, or num_nextn_predict_layers 0"),
    Rule("kv-scale-missing", "warning", "the map says FP8 KV cache, and some layers have scales and some have none",
         "layers without one use 1.0, which clips their keys or values", _QUANTIZE, inferred=True),
    # values (--deep)
    Rule("file-changed", "error", "a file's sha256 is not the one that was published or given (--deep)",
         "at least one byte of it is another: of a weight, or of a header", _DOWNLOAD),
    Rule("value-not-finite", "error", "a weight holds NaN or infinity (--deep)", "one such number spoils every answer "
         "that it has a part in", _DOWNLOAD),
    Rule("tensor-zero", "error", "all numbers of a weight are zero (--deep)",
         "the layer, or the expert, gives nothing", _DOWNLOAD),
    Rule("rows-zero", "warning", "rows of a linear layer are all zero (--deep)", "those outputs are always zero: right "
         "only where a channel was pruned", _DOWNLOAD, inferred=True),
    Rule("value-far", "warning", "one number of a weight is 1,000 times the rest (--deep)",
         "a bit that fell over in an exponent; quantized by it, all other numbers become zero", _DOWNLOAD,
         inferred=True),
    Rule("value-out-of-range", "warning", "a norm, A_log, D, dt_bias, router bias or input scale is far off (--deep)",
         "states decay at once or never, or one expert is always chosen", _DOWNLOAD, inferred=True),
    Rule("codes-unused", "warning", "no code of a weight is near the largest there is (--deep)",
         "the scale does not belong to these codes: all of the weight is too small or too large", _QUANTIZE,
         inferred=True),
    Rule("codes-flat", "error", "codes are equally frequent, which those of weights never are (--deep)",
         "these bytes are no weights: a download or a disk that lost them", _DOWNLOAD),
    Rule("second-scale-large", "warning", "block scales leave most of their range unused (--deep)",
         "weights are coarser than they need to be, or weight_scale_2 is another tensor's", _QUANTIZE, inferred=True),
    Rule("block-scales-saturated", "warning", "many block scales are at their largest value (--deep)",
         "the largest weights of those blocks are cut off", _QUANTIZE, inferred=True),
    Rule("expert-far", "warning", "an expert's numbers are 4 times, or a quarter of, its layer's middle ones (--deep)",
         "the expert is always too loud or too quiet: a scale or a shard of another layer", _DOWNLOAD, inferred=True),
    Rule("weights-alike", "error", "two weights are the same byte for byte (--deep)",
         "an expert or a layer stands twice, and another is lost", "Compare the index with where the weights are from"),
    # shards and index
    Rule("header-unreadable", "error", "a shard's header lies or is cut off", "no server loads it", _DOWNLOAD),
    Rule("bytes-hole", "error", "bytes of a shard belong to no tensor", "safetensors refuses the file", _DOWNLOAD),
    Rule("bytes-overlap", "error", "two tensors share bytes of a shard", "safetensors refuses the file", _DOWNLOAD),
    Rule("shard-missing", "error", "the index names a shard that is not there", "no server loads it",
         "Download the shard"),
    Rule("shard-unlisted", "warning", "a shard lies in the directory that the index does not name",
         "loaders that take every *.safetensors read it as well", "Remove it, or write the index again",
         "only the shards of the index are linked"),
    Rule("tensor-duplicate", "error", "a tensor stands in two shards", "which one is loaded depends on the server",
         "Download the checkpoint again"),
    Rule("index-extra", "error", "the index names a tensor that no shard holds", "loaders that follow it fail",
         "Write the index again", "the index as the shards are"),
    Rule("index-wrong-shard", "error", "the index puts a tensor into another shard than holds it",
         "loaders that follow it fail", "Write the index again", "the index as the shards are"),
    Rule("index-incomplete", "error", "a shard holds a tensor that the index does not name",
         "loaders that follow the index leave it unset", "Write the index again", "the index as the shards are"),
    Rule("index-total-size", "warning", "the index's total_size is not the sum of its tensors",
         "progress and memory estimates are wrong", "Write the index again", "the sum"),
    Rule("never-written", "warning", "most bytes of the weight files were never written: holes on the disk",
         "a download that did not finish reads as zeros: garbage", "Download again; of a phantom, made for tests, "
         "this is so", inferred=True),
    Rule("link-outside", "note", "a shard is a link to a place outside the directory",
         "the checkpoint breaks when it is moved or mounted into a container alone", "Mount the target as well"),
    # configuration
    Rule("names-damaged", "warning", "module names of the map end in ModelOpt's pt_name_sentinel",
         "a reader that matches names literally finds no exclusion and no layer: plain layers are read as quantized",
         "Repair the names", "the names without it"),
    Rule("experts-fused", "warning", "the map names a layer's experts as one module",
         "a reader that looks for mixer.experts.N finds none, and takes the experts for BF16",
         "Repair the map", "one entry per expert and projection"),
    Rule("maps-disagree", "error", "hf_quant_config.json and config.json's quantization_config differ",
         "TensorRT-LLM and SGLang read the one, vLLM and transformers the other: one of them answers garbage",
         "Repair the map", "both as the tensors show it"),
    Rule("map-names-nothing", "warning", "the map names a module that is not a linear layer of the network",
         "readers ignore it or stop at it; the map was written for another network, or by hand", "Compare the map with "
         "config.json", inferred=True),
    Rule("layers-spelling", "warning", "the layers are spelled as transformers 5 does (linear_attention, ...)",
         "servers that read hybrid_override_pattern or num_hidden_layers find neither", "Repair the config",
         "hybrid_override_pattern and num_hidden_layers as the release has them", inferred=True),
    Rule("time-step-limit", "warning", "time_step_limit holds {\"__float__\": \"Infinity\"}",
         "readers that expect numbers fail, or take it for a limit that clamps dt", "Repair the config",
         "[0.0, Infinity], as the release has it"),
    Rule("sensitive-quantized", "warning", "q, k, v, o or latent projections are NVFP4, as in ModelOpt's default",
         "it serves, but the release keeps them in BF16 or FP8: accuracy was measured with those only",
         "Quantize with `trtnemo quantize --preset super`", inferred=True),
    Rule("embedding-quantized", "warning", "the token embedding is quantized, as the map says",
         "vLLM with pull request 35660 reads it; an engine that takes it for BF16 stops or reads codes as numbers",
         "Try the server's version first; trtnemo's own runtimes do not read it", inferred=True),
    Rule("tokenizer-missing", "warning", "tokenizer.json is not there", "servers need --tokenizer, or fail at start",
         "Copy it from the BF16 checkpoint: `check --repair OUT --source DIR`",
         "tokenizer and chat template from --source"),
    Rule("tokenizer-vocabulary", "error", "the tokenizer has ids beyond vocab_size",
         "such a token reads outside the embedding", "Compare vocab_size with where the tokenizer is from"),
)  # fmt: skip
RULES: dict[str, Rule] = {rule.name: rule for rule in _TABLE}


def finding_json(finding: Finding) -> dict[str, str]:
    """Return an audit's finding as data, without a remedy: its rule has that."""
    return {"severity": finding.severity, "rule": finding.rule, "subject": finding.subject, "message": finding.message}


def found(rule: str, subject: str, message: str) -> Finding:
    """Return a finding of a rule, as bad as its rule says; raises KeyError for a rule that is not in the table."""
    return Finding(RULES[rule].severity, rule, subject, message)
