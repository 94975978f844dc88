"""A task of lm-eval over four questions."""

from __future__ import annotations

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: {kind}
doc_to_text: "The capital of {{{{country}}}} is"
{extra}
"""
ROWS = [("Japan", "Tokyo", "Paris"), ("France", "Paris", "Oslo"), ("Norway", "Oslo", "Tokyo"), ("Peru", "Lima", "Rome")]
CHOICE = """doc_to_choice: "{{[right, wrong]}}"
doc_to_target: 0
metric_list: [{metric: acc}]
"""
