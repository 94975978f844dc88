"""Formats by pattern that ModelOpt quantizes our BF16 checkpoint to, once for all tests."""

from __future__ import annotations

from trtnemo.checkpoint.rewrite.maps.patterns import FormatMap

QUANTIZED: FormatMap = {
    "*.mixer.experts": "nvfp4",
    "backbone.layers.0.mixer.in_proj": "fp8",
    "backbone.layers.1.mixer.shared_experts.down_proj": "nvfp4",
    "backbone.layers.4.mixer.experts": "bf16",
}
# what those leave plain, products that a server fuses among them
EVERY_KIND: FormatMap = {
    "*.mixer.q_proj": "fp8",
    "*.mixer.k_proj": "fp8",
    "*.mixer.v_proj": "fp8",
    "*.mixer.o_proj": "nvfp4",
    "*.mixer.in_proj": "nvfp4",
    "*.mixer.out_proj": "fp8",
    "*.mixer.shared_experts": "fp8",
    "*.mixer.fc1_latent_proj": "nvfp4",
    "*.mixer.fc2_latent_proj": "fp8",
}
CALIBRATION = [list(range(100, 164)), list(range(500, 540))]
