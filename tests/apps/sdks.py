"""Every client of a vendor, each with a few calls. Usage: sdks.py [NAME...]

A client that is not there for this Python is named on stderr, and left out.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import sys

import truth

CLIENTS: dict = {}
MESSAGES = [{"role": "user", "content": "?"}]
KEY = "sk-lab"


def client(*modules: str):
    """A function that makes the calls of a client, which needs these modules."""

    def add(function):
        CLIENTS[function.__name__] = (modules, function)
        return function

    return add


def model(this: truth.Request, knobs: str = "ttft=60-140,gap=15,n=6") -> str:
    """What to ask for, with the name of the call that asks."""
    return f"{knobs},id={this.call().name.replace('/', '~')}"


async def read_async(stream) -> None:
    async for _ in stream:
        pass


def read(stream) -> None:
    for _ in stream:
        pass


async def ask_as_openai(this, client, client_async) -> None:
    """By a client that was generated as OpenAI's is."""
    client.chat.completions.create(model=model(this), messages=MESSAGES)
    read(client.chat.completions.create(model=model(this), messages=MESSAGES, stream=True))
    await client_async.chat.completions.create(model=model(this), messages=MESSAGES)
    await read_async(await client_async.chat.completions.create(model=model(this), messages=MESSAGES, stream=True))


@client("openai")
async def openai(this, openai):
    client = openai.OpenAI()
    client.chat.completions.create(model=model(this), messages=MESSAGES)
    client.chat.completions.create(model=model(this, "ttft=60-140,n=400,coding=gzip"), messages=MESSAGES)
    client.chat.completions.create(model=model(this, "ttft=60-140,n=400,coding=zstd"), messages=MESSAGES)
    read(client.chat.completions.create(model=model(this), messages=MESSAGES, stream=True))
    client = openai.AsyncOpenAI()
    await client.chat.completions.create(model=model(this, "ttft=60-140,n=4000"), messages=MESSAGES)
    for coding in ("", ",coding=gzip", ",coding=zstd"):
        compressed = model(this, f"ttft=60-140,gap=20-40,n=8{coding}")
        await read_async(await client.chat.completions.create(model=compressed, messages=MESSAGES, stream=True))


@client("openai")
async def openai_large(this, openai):
    """Prompts that no buffer holds, so that they are written in parts."""
    messages = [{"role": "user", "content": "?" * 4_000_000}]
    openai.OpenAI().chat.completions.create(model=model(this), messages=messages)
    await openai.AsyncOpenAI().chat.completions.create(model=model(this), messages=messages)


@client("openai")
async def openai_responses(this, openai):
    client = openai.OpenAI()
    if not hasattr(client, "responses"):
        return
    client.responses.create(model=model(this), input="?")
    read(client.responses.create(model=model(this), input="?", stream=True))
    client = openai.AsyncOpenAI()
    await client.responses.create(model=model(this), input="?")
    await read_async(await client.responses.create(model=model(this), input="?", stream=True))


@client("openai", "aiohttp", "httpx_aiohttp")
async def openai_aiohttp(this, openai, *_):
    async with openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient()) as client:
        await client.chat.completions.create(model=model(this), messages=MESSAGES)
        await read_async(await client.chat.completions.create(model=model(this), messages=MESSAGES, stream=True))


@client("anthropic")
async def anthropic(this, anthropic):
    asked = {"max_tokens": 100, "messages": MESSAGES}
    client = anthropic.Anthropic(api_key=KEY)
    client.messages.create(model=model(this), **asked)
    read(client.messages.create(model=model(this), stream=True, **asked))
    client = anthropic.AsyncAnthropic(api_key=KEY)
    await client.messages.create(model=model(this), **asked)
    await read_async(await client.messages.create(model=model(this), stream=True, **asked))


@client("google.genai")
async def google_genai(this, genai):
    client = genai.Client(api_key=KEY)
    client.models.generate_content(model=model(this), contents="?")
    read(client.models.generate_content_stream(model=model(this), contents="?"))
    await client.aio.models.generate_content(model=model(this), contents="?")
    await read_async(await client.aio.models.generate_content_stream(model=model(this), contents="?"))


@client("mistralai")
async def mistralai(this, mistralai):
    make = getattr(mistralai, "Mistral", None) or importlib.import_module("mistralai.client").Mistral
    client = make(api_key=KEY)
    client.chat.complete(model=model(this), messages=MESSAGES)
    read(client.chat.stream(model=model(this), messages=MESSAGES))
    await client.chat.complete_async(model=model(this), messages=MESSAGES)
    await read_async(await client.chat.stream_async(model=model(this), messages=MESSAGES))


@client("cohere")
async def cohere(this, cohere):
    client = cohere.ClientV2(api_key=KEY)
    client.chat(model=model(this), messages=MESSAGES)
    read(client.chat_stream(model=model(this), messages=MESSAGES))
    client = cohere.AsyncClientV2(api_key=KEY)
    await client.chat(model=model(this), messages=MESSAGES)
    await read_async(client.chat_stream(model=model(this), messages=MESSAGES))


@client("groq")
async def groq(this, groq):
    await ask_as_openai(this, groq.Groq(api_key=KEY), groq.AsyncGroq(api_key=KEY))


@client("together")
async def together(this, together):
    await ask_as_openai(this, together.Together(api_key=KEY), together.AsyncTogether(api_key=KEY))


@client("boto3")
async def boto3(this, boto3):
    message = [{"role": "user", "content": [{"text": "?"}]}]
    client = boto3.client("bedrock-runtime", region_name="us-east-1", **AWS)
    client.converse(modelId=model(this), messages=message)
    read(client.converse_stream(modelId=model(this), messages=message)["stream"])
    read(client.invoke_model_with_response_stream(modelId=model(this), body=b"{}")["body"])


@client("aioboto3")
async def aioboto3(this, aioboto3):
    message = [{"role": "user", "content": [{"text": "?"}]}]
    async with aioboto3.Session().client("bedrock-runtime", region_name="us-east-1", **AWS) as client:
        await client.converse(modelId=model(this), messages=message)
        answer = await client.converse_stream(modelId=model(this), messages=message)
        await read_async(answer["stream"])


@client("azure.ai.inference", "azure.ai.inference.aio", "azure.core.credentials")
async def azure_ai_inference(this, sync, aio, credentials):
    endpoint = "https://lab.services.ai.azure.com/models"
    asked = {"messages": MESSAGES}
    key = credentials.AzureKeyCredential(KEY)
    client = sync.ChatCompletionsClient(endpoint, key)
    client.complete(model=model(this), **asked)
    read(client.complete(model=model(this), stream=True, **asked))
    async with aio.ChatCompletionsClient(endpoint, key) as client:
        await client.complete(model=model(this), **asked)
        await read_async(await client.complete(model=model(this), stream=True, **asked))


@client("huggingface_hub")
async def huggingface_hub(this, huggingface_hub):
    url = "https://router.huggingface.co/v1"
    client = huggingface_hub.InferenceClient(base_url=url, token=KEY)
    client.chat_completion(MESSAGES, model=model(this))
    read(client.chat_completion(MESSAGES, model=model(this), stream=True))
    client = huggingface_hub.AsyncInferenceClient(base_url=url, token=KEY)
    await client.chat_completion(MESSAGES, model=model(this))
    await read_async(await client.chat_completion(MESSAGES, model=model(this), stream=True))


@client("ollama")
async def ollama(this, ollama):
    client = ollama.Client()
    client.chat(model=model(this), messages=MESSAGES)
    read(client.chat(model=model(this), messages=MESSAGES, stream=True))
    client = ollama.AsyncClient()
    await client.chat(model=model(this), messages=MESSAGES)
    await read_async(await client.chat(model=model(this), messages=MESSAGES, stream=True))


@client("litellm")
async def litellm(this, litellm):
    litellm.completion(model=f"openai/{model(this)}", messages=MESSAGES)
    read(litellm.completion(model=f"openai/{model(this)}", messages=MESSAGES, stream=True))
    await litellm.acompletion(model=f"anthropic/{model(this)}", messages=MESSAGES, api_key=KEY)
    answer = await litellm.acompletion(model=f"anthropic/{model(this)}", messages=MESSAGES, stream=True, api_key=KEY)
    await read_async(answer)


@client("langchain_openai")
async def langchain_openai(this, langchain_openai):
    langchain_openai.ChatOpenAI(model=model(this)).invoke("?")
    read(langchain_openai.ChatOpenAI(model=model(this)).stream("?"))
    await langchain_openai.ChatOpenAI(model=model(this)).ainvoke("?")
    await read_async(langchain_openai.ChatOpenAI(model=model(this)).astream("?"))


@client("langchain_anthropic")
async def langchain_anthropic(this, langchain_anthropic):
    def chat():
        return langchain_anthropic.ChatAnthropic(model=model(this), api_key=KEY, max_tokens=100)

    chat().invoke("?")
    read(chat().stream("?"))
    await chat().ainvoke("?")
    await read_async(chat().astream("?"))


@client("llama_index.llms.openai")
async def llama_index(this, llama_index):
    def chat():
        # It asks its own table for a model's window, in which the lab's are not.
        class Llm(llama_index.OpenAI):
            @property
            def metadata(self):
                return importlib.import_module("llama_index.core.llms").LLMMetadata(is_chat_model=True)

        return Llm(model=model(this))

    message = [importlib.import_module("llama_index.core.llms").ChatMessage("?")]
    chat().chat(message)
    read(chat().stream_chat(message))
    await chat().achat(message)
    await read_async(await chat().astream_chat(message))


@client("pydantic_ai")
async def pydantic_ai(this, pydantic_ai):
    await pydantic_ai.Agent(f"openai-chat:{model(this)}").run("?")
    async with pydantic_ai.Agent(f"openai-chat:{model(this)}").run_stream("?") as answer:
        await read_async(answer.stream_text())


AWS = {"aws_access_key_id": "lab", "aws_secret_access_key": "lab"}


def main() -> int:
    wanted = sys.argv[1:] or [name for name in CLIENTS if name != openai_large.__name__]
    failed = 0
    with truth.run("sdks") as this:
        this.has_children = True
        for name in wanted:
            modules, function = CLIENTS[name]
            try:
                loaded = [importlib.import_module(module) for module in modules]
            except ImportError as error:
                print(f"left out {name}: {error}", file=sys.stderr)
                continue
            try:
                asyncio.run(function(this, *loaded))
            except Exception as error:
                failed += 1
                place = inspect.trace()[1]
                print(f"failed {name}, line {place.lineno}: {error!r}"[:600], file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    sys.exit(main())
