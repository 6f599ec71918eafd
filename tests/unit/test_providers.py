"""Which server a model's name and an address mean, and which key goes there."""

from __future__ import annotations

import pytest

from praison_nb import LocalAgentConfig
from praison_nb.backends.local.address import host_of, is_own, ollama_address
from praison_nb.backends.local.providers import PROVIDERS, is_embedded, maker, resolve
from praison_nb.backends.local.rules import STRICTEST
from praison_nb.errors import ConfigError, MissingKeyError

ELSEWHERE = "http://127.0.0.1:8000/v1"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        for variable in (provider.key_variable, provider.url_variable, "OPENAI_BASE_URL"):
            if variable:
                monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("prefix", sorted(PROVIDERS))
def test_each_prefix_has_its_server_and_key(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = PROVIDERS[prefix]
    if provider.key_variable:
        with pytest.raises(MissingKeyError, match=provider.key_variable):
            resolve(f"{prefix}/some/model")
        monkeypatch.setenv(provider.key_variable, "k-123")
    if not provider.base_url:
        with pytest.raises(ConfigError, match=provider.url_variable):
            resolve(f"{prefix}/some/model")
        monkeypatch.setenv(provider.url_variable, "https://own.example")
    server = resolve(f"{prefix}/some/model")
    assert server.model == "some/model" and server.origin == f"{prefix}/some/model"
    assert server.base_url == (provider.base_url or f"https://own.example{provider.url_path}")
    assert server.api_key == ("k-123" if provider.key_variable else "") and "k-123" not in repr(server)
    assert (server.provider, server.wire) == (prefix, next(iter(provider.wires)))
    assert server.rules is provider.wires[server.wire] and server.prices == provider.prices


@pytest.mark.parametrize("prefix", sorted(PROVIDERS))
def test_provider_says_whose_another_address_is(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = PROVIDERS[prefix]
    if provider.key_variable:
        monkeypatch.setenv(provider.key_variable, "k-own")
    server = resolve("some/model", provider=prefix, base_url=ELSEWHERE)
    assert (server.base_url, server.model, server.wire) == (ELSEWHERE, "some/model", "chat")
    assert (server.provider, server.prices) == (prefix, provider.prices)
    assert server.api_key == ("k-own" if provider.key_variable else "")
    assert server.rules is provider.wires.get("chat", STRICTEST["chat"])
    server = resolve("m", provider=prefix, base_url=ELSEWHERE, api_key="k-given", wire="messages")
    assert (server.api_key, server.wire) == ("k-given", "messages")
    assert server.rules is provider.wires.get("messages", STRICTEST["messages"])


@pytest.mark.parametrize(
    "model", ["gpt-4o", "openai/gpt-oss-20b", "anthropic/claude-sonnet-4.5", "ollama/llama", "mistral-small"]
)
def test_another_address_is_nobodys(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in PROVIDERS.values():
        if provider.key_variable:
            monkeypatch.setenv(provider.key_variable, "k-of-others")
    server = resolve(model, base_url="http://user:pass@127.0.0.1:8/v1")
    assert (server.model, server.provider, server.prices, server.api_key) == (model, "", "", "")
    assert server.name == "127.0.0.1:8" and server.wire == "chat" and server.rules is STRICTEST["chat"]
    assert server.origin == f"127.0.0.1:8/{model}" and "k-of-others" not in repr(server)
    assert resolve(model, base_url=ELSEWHERE, api_key="k-given").api_key == "k-given"
    assert resolve(model, base_url=ELSEWHERE, wire="responses").rules is STRICTEST["responses"]


def test_openai_base_url_is_nobodys_and_has_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k-with-it")
    monkeypatch.setenv("OPENAI_BASE_URL", ELSEWHERE)
    monkeypatch.setenv("MISTRAL_API_KEY", "k-mistral")
    for model in (
        "gpt-5.6-terra",
        "openai/gpt-oss-20b",
        "deepseek/deepseek-r1",
        "claude-sonnet-5-5",
        "qwen3",
    ):
        server = resolve(model)
        assert (server.base_url, server.model, server.api_key) == (ELSEWHERE, model, "k-with-it")
        assert (server.provider, server.prices, server.wire) == ("", "", "chat")
        assert server.where.key_variable == "OPENAI_API_KEY"
    assert resolve("gpt-5.6-terra", wire="responses").wire == "responses"
    # Whose key is here is asked at its own address.
    for model in ("mistral/mistral-small-latest", "mistral-small-latest"):
        server = resolve(model)
        assert (server.provider, server.model, server.api_key) == (
            "mistral",
            "mistral-small-latest",
            "k-mistral",
        )
    assert resolve("ollama/llama3.2").provider == "ollama"
    # The key belongs to that variable's address, to no other.
    assert resolve("gpt-4o", base_url="http://127.0.0.1:9/v1").api_key == ""
    server = resolve("gpt-4o", provider="openai")
    assert (server.base_url, server.provider, server.wire) == (ELSEWHERE, "openai", "chat")


@pytest.mark.parametrize("address", ["https://api.mistral.ai/v1", "https://api.mistral.ai:443/v1/"])
def test_a_providers_own_address_is_its_own(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "k-mistral")
    for model in ("mistral-small-latest", "mistral/mistral-small-latest"):
        server = resolve(model, base_url=address)
        assert (server.origin, server.api_key) == ("mistral/mistral-small-latest", "k-mistral")
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.setenv("OPENAI_API_KEY", "k-with-it")
    server = resolve("qwen3")
    assert (server.origin, server.api_key) == ("mistral/qwen3", "k-with-it")
    monkeypatch.delenv("MISTRAL_API_KEY")
    with pytest.raises(MissingKeyError, match="MISTRAL_API_KEY"):
        resolve("m", base_url=address)


def test_an_address_that_only_looks_like_a_providers() -> None:
    own = "https://api.openai.com/v1"
    assert is_own("https://api.openai.com", own) and is_own("https://us.api.openai.com/v1", own)
    for address in (
        "http://api.openai.com/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evilapi.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com@evil.example/v1",
        "https://api.openai.com:port/v1",
        "http://x.127.0.0.1:11434/v1",
    ):
        assert not is_own(address, own) and not is_own(address, "http://127.0.0.1:11434/v1")
    assert is_own("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1")
    assert host_of("https://user:p@ss.example:8/v1?x=y@z") == "ss.example:8"


@pytest.mark.parametrize(
    ("model", "provider", "wire"),
    [
        ("claude-sonnet-5-5", "anthropic", "messages"),
        ("gemini-3.5-flash", "gemini", "chat"),
        ("mistral-large-latest", "mistral", "chat"),
        ("magistral-medium-latest", "mistral", "chat"),
        ("codestral-latest", "mistral", "chat"),
        ("grok-4.5", "xai", "chat"),
        ("deepseek-chat", "deepseek", "chat"),
        ("kimi-k3", "moonshot", "chat"),
        ("sonar-pro", "perplexity", "chat"),
        ("gpt-5.6-terra", "openai", "responses"),
        ("o3-mini", "openai", "responses"),
    ],
)
def test_a_bare_name_finds_its_maker(
    model: str, provider: str, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert maker(model) == provider
    monkeypatch.setenv(PROVIDERS[provider].key_variable, "k")
    server = resolve(model)
    assert (server.origin, server.wire) == (f"{provider}/{model}", wire)
    monkeypatch.delenv(PROVIDERS[provider].key_variable)
    with pytest.raises(MissingKeyError, match=PROVIDERS[provider].key_variable):
        resolve(model)
    assert resolve(model, api_key="k").provider == provider


@pytest.mark.parametrize("model", ["qwen3", "my-model", "llama-3.3", "meta/claude", "x/gpt-4o", "omni"])
def test_other_names_say_nothing(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert maker(model) == ""
    assert resolve(model).origin == f"openai/{model}"


@pytest.mark.parametrize("key", [" sk-1", "sk-1\n", "Bearer sk-1", "\tsk-1\r\n"])
def test_a_key_comes_without_what_is_around_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("gpt-4o", api_key=key).api_key == "sk-1"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert resolve("gpt-4o").api_key == "sk-1"
    monkeypatch.setenv("OPENAI_API_KEY", " \n")
    with pytest.raises(MissingKeyError, match="OPENAI_API_KEY"):
        resolve("gpt-4o", api_key=" ")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:11500", "http://127.0.0.1:11500/v1"),
        ("127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("gpu-box", "http://gpu-box:11434/v1"),
        (" gpu-box ", "http://gpu-box:11434/v1"),
        ('"gpu-box"', "http://gpu-box:11434/v1"),
        (":11500", "http://127.0.0.1:11500/v1"),
        ("[::]", "http://[::1]:11434/v1"),
        ("::1", "http://[::1]:11434/v1"),
        ("[fe80::1]", "http://[fe80::1]:11434/v1"),
        ("http://somebody:secret@gpu-box:8080", "http://somebody:secret@gpu-box:8080/v1"),
        ("[::1]:11500", "http://[::1]:11500/v1"),
        ("http://gpu-box:8080/", "http://gpu-box:8080/v1"),
        ("http://gpu-box", "http://gpu-box:80/v1"),
        ("https://ollama.example", "https://ollama.example:443/v1"),
        ("https://ollama.example/under/", "https://ollama.example:443/under/v1"),
        ("gpu-box/under", "http://gpu-box:11434/under/v1"),
        ("gpu-box:99999", "http://gpu-box:11434/v1"),
        ("http://[fe80::1%25eth0]:3", "http://[fe80::1%25eth0]:3/v1"),
    ],
)
def test_ollama_is_where_its_variable_says(host: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    server = resolve("ollama/llama3.2")
    assert (server.base_url, server.provider) == (address, "ollama")
    assert f"{ollama_address(host)}/v1" == address


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http://:80/v1",
        "http://h:99999/v1",
        "http://h:0/v1",
        "http://h:port",
        "http://a b/",
        "http://[::1",
    ],
)
def test_an_address_that_cannot_be_one_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="base_url is no address"):
        LocalAgentConfig(base_url=address)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(ConfigError, match="base_url is no address"):
        resolve("m")


def test_blanks_around_an_address_are_no_part_of_it() -> None:
    assert resolve("m", base_url=f" {ELSEWHERE}\n").base_url == ELSEWHERE


def test_variables_of_a_provider_move_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    for address in ("http://127.0.0.1:5", "http://127.0.0.1:5/", "http://127.0.0.1:5/v1"):
        monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
        server = resolve("claude-sonnet-5-5")
        assert (server.base_url, server.wire) == ("http://127.0.0.1:5/v1", "messages")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/")
    assert resolve("azure/my-deploy").base_url == "https://mine.openai.azure.com/openai/v1"


def test_a_name_with_a_slash_that_is_no_prefix_is_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert resolve("meta/llama").model == "meta/llama"
    with pytest.raises(ConfigError, match="names no model"):
        resolve("ollama/")


@pytest.mark.parametrize("model", ["embedded", "embedded/smollm2", "smollm2", "gguf:~/x.gguf", "hf:a/b:Q8_0"])
def test_embedded(model: str) -> None:
    assert is_embedded(model) and not is_embedded("gpt-4o")
    assert LocalAgentConfig(model=model).runs_embedded
    assert not LocalAgentConfig(model=model, provider="openai").runs_embedded


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"provider": "mistrall"}, r"provider must be one of .*: did you mean 'mistral'\?"),
        ({"wire": "massages"}, r"wire must be 'chat', 'responses' or 'messages'.*did you mean 'messages'\?"),
        ({"effort": "hihg"}, r"effort must be .*'xhigh', not 'hihg': did you mean 'high'\?"),
        ({"effort": 3}, "effort must be"),
    ],
)
def test_a_config_says_what_there_is(fields: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        LocalAgentConfig(**fields)


def test_every_effort_of_a_row_is_one_that_there_is() -> None:
    for provider in PROVIDERS.values():
        for rules in provider.wires.values():
            for effort in rules.effort:
                LocalAgentConfig(effort=effort)
