"""The model card's example: reasoning off."""

from openai import OpenAI

client = OpenAI(base_url="http://localhost:8123/v1", api_key="EMPTY")
MODEL = "nvidia/nemotron-3-super"

response = client.chat.completions.create(
    model=MODEL,
    messages=[{"role": "user", "content": "What is the capital of Japan?"}],
    max_tokens=16000,
    temperature=1.0,
    top_p=0.95,
    extra_body={"chat_template_kwargs": {"enable_thinking": False}},
)
print(response.choices[0].message.content)
