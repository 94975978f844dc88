"""Files of requests in OpenAI's batch format, run at full throughput and resumable."""

from trtnemo.batch.lines import BatchLine, count_lines, read_lines
from trtnemo.batch.results import ResultFile
from trtnemo.batch.run import BatchOptions, BatchSummary, run_batch

__all__ = ["BatchLine", "BatchOptions", "BatchSummary", "ResultFile", "count_lines", "read_lines", "run_batch"]
