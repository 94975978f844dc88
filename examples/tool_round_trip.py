"""A tool is called with what the user asks for, and its result is read back."""

import json

from openai import OpenAI

client = OpenAI(base_url="http://localhost:8123/v1", api_key="EMPTY")
MODEL = "nvidia/nemotron-3-super"

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the current weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "Name of the city"}},
                "required": ["city"],
            },
        },
    }
]


def get_weather(city: str) -> dict[str, object]:
    """Return made-up weather."""
    return {"city": city, "temperature": 21, "condition": "sunny"}


messages = [{"role": "user", "content": "What is the weather in Osaka?"}]
first = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, temperature=0)
message = first.choices[0].message
messages.append(message.model_dump(exclude_none=True))
for call in message.tool_calls or []:
    print(f"calls {call.function.name}({call.function.arguments})")
    result = get_weather(**json.loads(call.function.arguments))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
second = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS, temperature=0)
print(second.choices[0].message.content)
