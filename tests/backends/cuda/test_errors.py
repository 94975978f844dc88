"""Errors of a device: what ends its process, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trtnemo.backends.cuda.errors import on_device
from trtnemo.errors import DeviceLostError, StepError


@on_device
def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported later",
        "CUDA error: device-side assert triggered",
        "Triton Error [CUDA]: unspecified launch failure",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx",
        "CUDA error: uncorrectable ECC error encountered",
    ],
)
def test_a_device_that_reports_an_error_is_lost(message: str) -> None:
    with pytest.raises(DeviceLostError) as found:
        fail(RuntimeError(message))
    assert message.splitlines()[0] in str(found.value)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), RuntimeError("shape"), StepError("no")],
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as found:
        fail(error)
    assert found.value is error


def test_what_runs_keeps_no_gradients() -> None:
    @on_device
    def ask() -> Any:
        return torch.is_inference_mode_enabled()

    assert ask()
