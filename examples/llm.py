"""Generate text in Python without a server, from an engine directory: `python examples/llm.py [ENGINE]`."""

import sys

from trtnemo import LLM, SamplingParams

engine = sys.argv[1] if len(sys.argv) > 1 else "engines/tiny"
with LLM(engine) as llm:
    prompts = ["The capital of Japan is", "The capital of Kenya is"]
    for output in llm.generate(prompts, SamplingParams(max_tokens=8, temperature=0)):
        print(output.text)
