"""The model card's example: reasoning on, the default."""

from openai import OpenAI

client = OpenAI(base_url="http://localhost:8123/v1", api_key="EMPTY")
MODEL = "nvidia/nemotron-3-super"

response = client.chat.completions.create(
    model=MODEL,
    messages=[{"role": "user", "content": "Write a haiku about GPUs"}],
    max_tokens=16000,
    temperature=1.0,
    top_p=0.95,
    extra_body={"chat_template_kwargs": {"enable_thinking": True}},
)
print(response.choices[0].message.content)
