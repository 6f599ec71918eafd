"""What is hidden, what is not, what it costs, and where it holds."""

from __future__ import annotations

import html
import json
import logging
import os
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from praison_nb import redaction
from praison_nb.redaction import child_environment, known, logs, redact, redact_and_name, redact_value
from praison_nb.redaction.names import Level, level_of
from servers.timing import grows_linearly

RANDOM = "Xq3vT9bLmR7zKwP2nYcD5fGhJ8sAeU4i"
PEM = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"


@pytest.fixture(autouse=True)
def only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secrets but the test's own."""
    monkeypatch.setattr(known, "_registered", {})
    for name in dict(os.environ):
        if level_of(name):
            monkeypatch.delenv(name)


# A text, and the part of it that may not stay.
BY_FORM = [
    (f"Authorization: Bearer {RANDOM}", RANDOM),
    ("{'Authorization': 'Bearer abc123'}", "abc123"),
    ("curl -H 'authorization: bearer abc.def-123'", "abc.def-123"),
    ("> Authorization: Basic YWRhOmxvdmVsYWNl", "YWRhOmxvdmVsYWNl"),
    ("b'Proxy-Authorization: Basic YWRhOmxvdmVsYWNlMQ=='", "YWRhOmxvdmVsYWNlMQ"),
    ("postgres://ada:lovelace@db.example.org:5432/app", "lovelace"),
    ("postgresql+psycopg2://ada:love%2Flace@db/app", "love%2Flace"),
    ("mysql://ada:love@lace@db/app", "love@lace"),
    ("amqp://ada:love/lace@db/app", "love/lace"),
    ("redis://:lovelace@127.0.0.1:6379/0", "lovelace"),
    ("mongodb+srv://ada:lovelace@a.example.org,b.example.org/?w=1", "lovelace"),
    ("GET http://ada:lovelace@127.0.0.1:8000/v1/models 200", "lovelace"),
    ("next=https%3A%2F%2Fada%3Alovelace%40example.org%2F", "lovelace"),
    ("https://0f3a9c7be41d52860f3a9c7be41d5286@o0.ingest.example.org/1", "0f3a9c7be41d52860f3a9c7be41d5286"),
    ("Server=db;Database=app;User Id=ada;Password=lovelace;", "lovelace"),
    ("Driver={SQL Server};Server=db;UID=ada;PWD=lovelace", "lovelace"),
    ("pwd=lovelace;uid=ada", "lovelace"),
    ("host=db user=ada password=lovelace1 dbname=app", "lovelace1"),
    ("https://example.org/?user=ada&api_key=lovelace&n=1", "lovelace"),
    ("https://a.example.org/b?sv=1&sig=Xq3vT9bLmR7zKwP2nYcD5fGh%3D&se=2", "Xq3vT9bLmR7zKwP2nYcD5fGh"),
    (f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={RANDOM}==;", RANDOM),
    (f"-----BEGIN RSA PRIVATE KEY-----\n{PEM}\nab==\n-----END RSA PRIVATE KEY-----\n", PEM),
    (json.dumps(f"-----BEGIN PRIVATE KEY-----\n{PEM}\n-----END PRIVATE KEY-----\n"), PEM),
    (f"-----BEGIN OPENSSH PRIVATE KEY-----\n{PEM}\n{PEM}\n[… cut …]", PEM),
    (f"-----BEGIN EC PRIVATE KEY-----\nDEK-Info: AES-128-CBC,0A\n\n{PEM}\n-----END EC PRIVATE KEY-----", PEM),
    (f"token is {JWT}.", JWT),
    ("aws AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI/K7MDENG"),
    (f"ghp_{RANDOM}1234", RANDOM),
    (f"https://x-access-token:ghs_{RANDOM}@github.com/a/b", RANDOM),
    ("glpat-Xq3vT9bLmR7zKwP2nYcD", "Xq3vT9bLmR7zKwP2nYcD"),
    ("xoxb-123456789012-1234567890123-Xq3vT9bLmR7zKwP2", "Xq3vT9bLmR7zKwP2"),
    ("https://hooks.slack.com/services/T00000000/B00000000/Xq3vT9bLmR7zKwP2nYcD", "Xq3vT9bLmR7zKwP2nYcD"),
    (f"npm_{RANDOM}1234", RANDOM),
    (f"SG.{RANDOM[:22]}.{RANDOM}", RANDOM),
    ("123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1", "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1"),
    ("{'user': 'ada', 'pwd': 'lovelace'}", "lovelace"),
    ('{"password": "love\\"lace", "n": 1}', 'love\\"lace'),
    ('"{\\"password\\": \\"lovelace\\", \\"n\\": 1}"', "lovelace"),
    ('cfg\n"{""user"": ""ada"", ""password"": ""lovelace""}"', "lovelace"),
    ('["cfg\\n\\"{\\"\\"password\\"\\": \\"\\"lovelace\\"\\"}\\""]', "lovelace"),
    ("Client(api_key='lovelace', user='ada')", "lovelace"),
    ("{'password': b'lovelace'}", "lovelace"),
    ("x-api-key: lovelace1815", "lovelace1815"),
    ("db:\n  password: lovelace1815\n", "lovelace1815"),
    ("OPENAI_API_KEY=lovelace\nDEBUG=1", "lovelace"),
    ("export GH_PAT=lovelace", "lovelace"),
    ("clientSecret: 'lovelace'", "lovelace"),
    ("curl -u ada:Tr0ub4dor https://example.org/", "Tr0ub4dor"),
    ("curl -s --user 'ada:Tr0ub4dor' https://example.org/", "Tr0ub4dor"),
    ("mysql --password=lovelace -h db", "lovelace"),
    ("mysql --password lovelace -h db", "lovelace"),
    ("tool --api-key Tr0ub4dor3", "Tr0ub4dor3"),
    ("tool --token=lovelace -v", "lovelace"),
    ("<password>lovelace</password>", "lovelace"),
    ("<db:apiKey>lovelace</db:apiKey>", "lovelace"),
    ('{"name": "DB_PASSWORD", "value": "love lace"}', "love lace"),
    ("{'name': 'DB_PASSWORD', 'value': 'lovelace'}", "lovelace"),
    ("- name: DB_PASSWORD\n  value: lovelace\n", "lovelace"),
    ("passwords: ['abc', 'lovelace']", "lovelace"),
    ('"api_keys": ["abcd1234", "lovelace"]', "lovelace"),
    ("Authorization: Token 9944b09199c62bcf\n", "9944b09199c62bcf"),
    ("'Authorization': 'ApiKey lovelace'", "lovelace"),
    ("{'Authorization': 'Bearer lovelace'}", "lovelace"),
    ("Set-Cookie: sessionid=lovelace; Path=/", "lovelace"),
    ("Cookie: theme=a1; sessionid=lovelace", "lovelace"),
    ("https://ada@corp.com:lovelace@h/x", "lovelace"),
    ("Server=h;Uid=ada;Pwd=love lace;", "love lace"),
    ("{'db_pw': 'lovelace', 'n': 1}", "lovelace"),
    ("{'passwort': 'lovelace'}", "lovelace"),
    ("Kennwort='lovelace'", "lovelace"),
    ("password='%Tr0ub4dor'", "%Tr0ub4dor"),
    ("password='<Tr0ub4dor3>'", "<Tr0ub4dor3>"),
]

# Lines that have nothing else in them.
LINES = [
    "password: lovelace",
    "password = lovelace",
    "db_password=lovelace",
    "export DB_PASSWORD=lovelace",
    "export db_password=lovelace",
    "spring.datasource.password=lovelace",
    "  password: lovelace  # the countess's",
    "- client_secret: lovelace",
    "passwort: lovelace",
    "kennwort=lovelace",
    "password: correct-horse-battery-staple",
    "$password = lovelace;",
]


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_settings_is_known_by_its_name(line: str) -> None:
    for around in ("{}", "{}\n", "[db]\n{}\nuser: ada", "a\r\n{}\r\nb"):
        told, names = redact_and_name(around.format(line))
        assert "lovelace" not in told and "correct" not in told and names
        assert told.count("\n") == around.count("\n")


@pytest.mark.parametrize(("text", "secret"), BY_FORM)
def test_a_secret_is_known_by_its_form_or_name(text: str, secret: str) -> None:
    for around in ("{}", "see {} here", "a\n{}\nb", '"{}', "{}'"):
        if around[0] != "{" and text.startswith(("OPENAI", "export")) and around[1] != "\n":
            # A file of variables has each on its line.
            continue
        told, names = redact_and_name(around.format(text) if "{}" in around else around)
        assert secret not in told and redaction.HIDDEN in told and names
        assert all(secret not in name for name in names)
        assert redact(told) == told


DATA = [
    "name,password_length,token_count\nada,12,3",
    '[{"token": "the", "pos": "DET"}, {"token": "##ing"}, {"token": "3.14"}, {"token": "don\'t"}]',
    "eos_token='</s>', pad_token='<pad>', max_tokens=1000, tokens=12",
    "{'key': 'customer_id', 'primary_key': 'id_number', 'sort_key': 'created_at_2024'}",
    "api_key=os.environ['OPENAI_API_KEY'], password=password, token=args.token, key=lambda row: row[0]",
    "def login(user: str, password: str, api_key: str | None = None, token: Optional[str] = None) -> None:",
    "set OPENAI_API_KEY or give api_key=…; api_key=${API_KEY}, password=<password>, token={token}",
    "see http://127.0.0.1:8000/v1/@ada and https://example.org:443/a?b=c@d, mail ada@example.org",
    "Basic training, basic education; Bearer of news; a token: the first, key: value, pass: 12 fail: 3",
    "-----BEGIN CERTIFICATE-----",
    "commit 0f3a9c7be41d52860f3a9c7be41d52860f3a9c7b, 550e8400-e29b-41d4-a716-446655440000",
    "task-oriented, risk-adjusted, disk-based, pk_customer_id, sk_test_measurements, fw_version_2024",
    "path=/usr/bin;pattern=a;compass=north;keyboard=us",
    '{"password": "string", "api_key": "required", "auth": "oauth2", "secret": true}',
    "Unexpected token: expected ')' at 3:14. The key: 'b' is missing",
    "monkey=banana123, passenger=Ada Lovelace, author=Ada",
    "the password: use a long one. His password: swordfish was the joke. Password: must be long",
    "Give a password = anything you like\nThe secret: practice",
    "class A:\n    api_key: SecretStr\n    password = self.password\n    token = tokens.next2",
    "use --password to give one, --token TOKEN, --api-key=$KEY, docker run -u 1000:1000, curl -u ada",
    "<password>the password</password>".replace("the password", "{password}") + "<token>the</token>",
    "tokens: ['the', 'dog'], unique_tokens=['a1', 'b']",
    '{"name": "token_count", "value": "1234"}, {"name": "Ada", "value": "lovelace"}',
    "Cookie: a thing to eat; Set-Cookie: Path=/",
    '[{"predicted_token": "Paris"}, {"current_token": "the"}, {"eot_token": "EOT"}, {"input_token": "dog"}]',
    '{"mountain_pass": "Gotthard", "boarding_pass": "mobile", "butter_pat": "small", "bus_pass": "monthly"}',
    '{"trade_secret": "cola recipe", "top_secret": "false", "has_password": "1", "needs_password": "always"}',
    '{"authorization": "approved", "prior_authorization": "granted", "credentials": "PhD, MBA"}',
    '[{"token": "covid2019"}, {"token": "comment1.line2"}, {"token": "rgba(12,34,56,0.5)"}]',
    '{"public_key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", "dsn": "localhost1:5432"}',
    '{"cache_key": "3f2a9c0d1e4b5a69788796a5b4c3d2e1f0a9b8c7", "Key": "logs/AB12cd34EF56gh78.gz"}',
]


@pytest.mark.parametrize("text", DATA)
def test_data_code_and_prose_stay(text: str) -> None:
    assert redact_and_name(text) == (text, [])


# Made up, in the shapes that the providers give out.
KEYS = [
    "sk-ant-api03-Zk3_vR9tQ-x7LmN2pW8sYbC4dF6gH1jK0aE5uT-AAAAAA",
    "sk-proj-q7Rz_K2mW9-xLpT4vNbY8sCdF3gHjE6aU1oI5tQ",
    "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",
    "sk-7f3a9c1be84d5206f9a3c7b1e48d5260",
    "sk-Xq3vT9bLmR7zKwP2nYcD5fGhJ8sAeU4i",
    "sk-Rk3_xY7-pQm2_Ld9Zt4-wB",
    "sk-test-1234567890",
    "sk-lf-550e8400-e29b-41d4-a716-446655440000",
    "sk_live_51HqT7vLmR2zKwP9nYcD5fGhJ",
    "rk_test_51HqT7vLmR2zKwP9nYcD5fGhJ",
    "sk_7f3a9c1be84d5206f9a3c7b1e48d52607f3a9c1be84d5206",
    "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",
    "xai-Xq3vT9bLmR7zKwP2nYcD5fGhJ8sAeU4iXq3vT9bLmR7zKwP2nYcD5fGhJ8sAeU4iXq3vT9bLmR7z",
    "AIzaSyD-9tSrke72PouQMnMX_a7eZSW0jkFMBWY",
    "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",
    "ghp_Xq3vT9bLmR7zKwP2nYcD5fGhJ8sAeU4iXq3v",
    "github_pat_11ABCDEFG0Xq3vT9bLmR7z_KwP2nYcD5fGhJ8sAeU4iXq3vT9bLmR7zKwP2nYcD5fGhJ8sAeU4iX",
    "r8_Xq3vT9bLmR7zKwP2nYcD5fGhJ8sAeU4iXq3vT",
    "Bearer abc123",
    "Bearer eyJhbGciOi.eyJzdWIiOiIx.s5K-x_Q",
]
NAMES = [
    "SELECT pk_customer_id, sk_date_key FROM fact JOIN dim USING (sk_CustomerDimensionKey)",
    "or_conditions_met, rk_measurements, pk_orders_2024_q1, sk_md5hash_customer, sk_test_measurements",
    "xai-explainability, sk-learn-contrib, sk-learn-contrib-py311-linux, hf_SentenceTransformers",
    "hf_transformers4, gsk_pharmaceuticals_2024, gh_pages, r8_results, risk-assessment, sk-orders-20241231",
    "Bearer of good news; Bearer tokens. bearer authentication, Bearer token-based, Bearer {api_key}",
    "/home/a/or_like_a_key.ipynb",
]


@pytest.mark.parametrize("key", KEYS)
def test_each_providers_keys_are_redacted(key: str) -> None:
    secret = key.removeprefix("Bearer ")
    for text in (key, f"key={key}", f'{{"key": "{key}"}}', f"Is {key} right? {key}.", f"my_{key}"):
        assert redact(text) == text.replace(secret, "[key]")


@pytest.mark.parametrize("text", NAMES)
def test_names_and_words_are_no_keys(text: str) -> None:
    assert redact(text) == text


SECRET_VARIABLES = {
    "OPENAI_API_KEY": "x",
    "DATABASE_URL": "postgres://ada:lovelace@db/app",
    "GH_PAT": "lovelace",
    "SMTP_PASS": "lovelace",
    "SMTP_PASSWD": "lovelace",
    "PGPASSWORD": "lovelace",
    "MYSQL_PWD": "lovelace",
    "SSH_PASSPHRASE": "ada lovelace",
    "GITHUB_TOKEN": "lovelace",
    "githubToken": "lovelace",
    "GOOGLE_CREDENTIALS": '{"private_key": "x"}',
    "AWS_SECRET_ACCESS_KEY": "lovelace",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "CLIENT_SECRET": "lovelace",
    "DB_PASSWORD_PROD": "lovelace",
    "API_KEY_2": "lovelace",
    "SENTRY_DSN": "https://0f3a9c7be41d52860f3a9c7be41d5286@o0.ingest.example.org/1",
    "REDIS_AUTH": "love1ace",
    "HTTP_AUTH": "ada:lovelace",
    "ENCRYPTION_KEY": "lovelace",
    "SESSION_KEY": RANDOM,
    "HTTPS_PROXY": "http://ada:lovelace@proxy:8080",
    "CONNECTION_STRING": "Server=db;Password=lovelace;",
    "SLACK_HOOK": "https://hooks.slack.com/services/T00000000/B00000000/Xq3vT9bLmR7zKwP2nYcD",
    "SIGNING": f"-----BEGIN PRIVATE KEY-----\n{PEM}\n-----END PRIVATE KEY-----",
    "EXTRA_HEADERS": "Authorization: Bearer abc123",
}
OTHER_VARIABLES = {
    "PATH": "/usr/bin:/bin",
    "PWD": "/home/ada",
    "OLDPWD": "/home",
    "SSH_AUTH_SOCK": "/tmp/ssh-XXXXqRz1Ab2c/agent.1234",
    "XAUTHORITY": "/run/user/1000/.Xauthority",
    "SSH_ASKPASS": "/usr/bin/ssh-askpass",
    "KEYBOARD_LAYOUT": "international",
    "PARTITION_KEY": "customer_id",
    "SORT_KEY": "timestamp",
    "PRIMARY_KEY": "id_number",
    "TOKENIZERS_PARALLELISM": "false",
    "MAX_TOKENS": "1000",
    "TOKEN_LIMIT": "8000",
    "MONKEY": "banana",
    "COMPASS": "north",
    "PASSENGER_COUNT": "3",
    "LOW_PASS": "0.5",
    "AUTHOR": "Ada Lovelace",
    "PATTERN": "a.*b",
    "KEYTIMEOUT": "1",
    "PASSWORD_MIN_LENGTH": "12",
    "SSL_KEY_FILE": "/etc/ssl/key.pem",
    "GIT_COMMIT": "0f3a9c7be41d52860f3a9c7be41d52860f3a9c7b",
    "JUPYTER_URL": "http://127.0.0.1:8888/lab",
    "LANG": "en_US.UTF-8",
}


def test_a_program_gets_no_secrets_and_all_else() -> None:
    assert child_environment({**SECRET_VARIABLES, **OTHER_VARIABLES}) == OTHER_VARIABLES


def test_variables_that_hold_no_secrets_take_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(OTHER_VARIABLES.values()) + " lm-studio password customer_id,timestamp"
    for name, value in OTHER_VARIABLES.items():
        monkeypatch.setenv(name, value)
    # What people set where a server takes any key.
    for name, value in {"LM_API_KEY": "lm-studio", "DB_PASSWORD": "postgres", "X_TOKEN": "abc"}.items():
        monkeypatch.setenv(name, value)
    assert redact_and_name(text) == (text, [])
    monkeypatch.setenv("WORD_URL", "postgres://ada:lovelace@db/app")
    assert redact("lovelace, lovelaces, ada_lovelace") == "[key], lovelaces, ada_[key]"


# What is withheld from programs, and stands in texts and data for reasons of its own.
ORDINARY = {
    "APP_TOKEN": "production",
    "APP_SECRET": "Development",
    "DB_PASSWORD": "customer_id",
    "ADMIN_PASSWORD": "administrator",
    "SORT_SECRET": "created_at_2024",
    "MY_SECRET": "us-east-1",
    "GCP_SECRET": "europe-west1-b",
    "X_TOKEN": "2024-01-01",
    "Y_TOKEN": "2024-01-01T10:30:00Z",
    "HOST_TOKEN": "db.example.org:5432",
    "REFRESH_TOKEN": "http://localhost:8888/cb",
    "SESSION_SECRET": "keyboard cat",
    "FILE_SECRET": "/var/lib/app/data",
    "CAMEL_TOKEN": "customerName",
}
DISTINCT = [
    "hunter2",
    "%Tr0ub4dor3",
    "correct horse battery staple",
    "analytical-engine-7",
    "SwordFish!",
    "p@ssword",
]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_values_of_variables_stay_in_texts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert child_environment(ORDINARY) == {}
    monkeypatch.setenv(name, ORDINARY[name])
    text = f"in {ORDINARY[name]} today"
    assert redact_and_name(text) == (text, [])


@pytest.mark.parametrize("value", DISTINCT)
def test_others_are_hidden_everywhere(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Y_PASSWORD", value)
    assert redact_and_name(f"in {value} today") == ("in [key] today", ["Y_PASSWORD"])


GIVEN = [
    "%Tr0ub4dor3xyz",
    "your-Tr0ub4dor-3",
    "<Tr0ub4dor3>",
    "[Tr0ub4dor3]",
    "$SECRETVALUE",
    "{Tr0ub4dor}",
    "Swordfish",
    "my-tr0ub4dor-key",
    "abc123",
]


@pytest.mark.parametrize("value", GIVEN)
def test_what_is_given_as_a_key_is_one_whatever_it_looks_like(value: str) -> None:
    redaction.register_settings({"api_key": value})
    assert redact_and_name(f"in {value} today") == ("in [key] today", ["api_key"])


@pytest.mark.parametrize(
    "value", ["", "k", "not-needed", "ollama", "${API_KEY}", "$OPENAI_API_KEY", "notebook"]
)
def test_placeholders_and_words_are_none(value: str) -> None:
    redaction.register_settings({"api_key": value})
    text = f"in {value} today"
    assert redact_and_name(text) == (text, [])


def test_secrets_of_the_environment_are_hidden_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "GITHUB_TOKEN", "SESSION_KEY", "CONNECTION_STRING"):
        monkeypatch.setenv(name, SECRET_VARIABLES[name])
    assert redact_and_name(f"it is {RANDOM}") == ("it is [key]", ["SESSION_KEY"])
    assert redact("the password lovelace") == "the password [key]"
    # From the moment it is set, and until it is gone.
    monkeypatch.setenv("LATE_TOKEN", "analytical-engine-7")
    assert redact_and_name("analytical-engine-7") == ("[key]", ["LATE_TOKEN"])
    monkeypatch.delenv("LATE_TOKEN")
    assert redact("analytical-engine-7") == "analytical-engine-7"


@pytest.mark.parametrize("secret", ["pass/w@rd+1", "a b&c=d;e", 'it\'s "7"\\', "päss:wörd1", "<x>&1234"])
def test_a_registered_secret_is_hidden_however_it_is_written(secret: str) -> None:
    redaction.register(secret, "api_key of a config")
    for write in (
        str,
        repr,
        json.dumps,
        html.escape,
        quote,
        lambda text: quote(text, safe=""),
        lambda s: repr([s]),
    ):
        told, names = redact_and_name(f"at {write(secret)} now")
        assert write(secret).strip("\"'[]") not in told and names == ["api_key of a config"], told


def test_addresses_headers_and_settings_are_registered() -> None:
    redaction.register_address("https://ada:love%2Flace@example.org/v1")
    redaction.register_settings(
        {
            "extra_headers": {
                "Authorization": "Basic YWRhOmVuZ2luZTE=",
                "X-Title": "My notebook",
                "X-Auth": "eng1ne-2",
            },
            "extra_query": {"api_key": "difference"},
            "seed": 3,
        }
    )
    told = redact(
        "love/lace love%2Flace love%2flace YWRhOmVuZ2luZTE= engine1 eng1ne-2 difference My notebook"
    )
    assert told == "[key] [key] [key] [key] [key] [key] [key] My notebook"


@pytest.mark.parametrize(
    ("settings", "secret"),
    [
        ({"extra_headers": [("X-Api-Key", "Zq9xT7bLmk1")]}, "Zq9xT7bLmk1"),
        ({"extra_headers": {"X-Api-Key": b"Zq9xT7bLmk2"}}, "Zq9xT7bLmk2"),
        ({"extra_headers": {b"X-Api-Key": b"Zq9xT7bLmk2"}}, "Zq9xT7bLmk2"),
        ({"extra_headers": {"X-Corp-Key": "swordfish"}}, "swordfish"),
        ({"extra_headers": {"X-Session": "swordfish"}}, "swordfish"),
        ({"extra_headers": {"X-Hub-Signature": "swordfish"}}, "swordfish"),
        ({"extra_headers": {"Authorization": "Token swordfish"}}, "swordfish"),
        ({"extra_headers": {"X-Access": "hunter22hunter"}}, "hunter22hunter"),
        ({"extra_headers": {"api-key": "%Tr0ub4dor9"}}, "%Tr0ub4dor9"),
        ({"default_headers": {"Cookie": "a=swordfish"}}, "a=swordfish"),
        ({"extra_query": {"key": "swordfish"}}, "swordfish"),
        ({"extra_query": [["sig", "Zq9xT7bLmk3"]]}, "Zq9xT7bLmk3"),
        ({"extra_query": {"token": b"swordfish"}}, "swordfish"),
        ({"extra_body": {"pw": "Zq9xT7bLmk4"}}, "Zq9xT7bLmk4"),
        ({"base_url": "http://h/v1?token=swordfish&n=1"}, "swordfish"),
        ({"base_url": "http://h/v1?api-key=a%2Fbcdef"}, "a/bcdef"),
        ({"base_url": "http://ada:swordfish@h/v1"}, "swordfish"),
    ],
)
def test_headers_and_queries_are_known_whatever_they_look_like(settings: object, secret: str) -> None:
    redaction.register_settings({"options": settings, **settings})  # type: ignore[dict-item]
    assert redact(f"it says {secret}") == "it says [key]"


def test_structures_keep_their_shape() -> None:
    value = {
        "pwd": "a",
        "rows": [("x", 1)],
        "n": None,
        "arguments": '{"api_key": "lovelace"}',
        "headers": {"Cookie": "a"},
    }
    assert redact_value(value) == {
        "pwd": "[key]",
        "rows": [("x", 1)],
        "n": None,
        "arguments": '{"api_key": "[key]"}',
        "headers": {"Cookie": "[key]"},
    }


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("OPENAI_API_KEY", Level.SURE),
        ("Github-Token-2", Level.SURE),
        ("clientSecret", Level.SURE),
        ("dbpassword", Level.SURE),
        ("token", Level.LIKELY),
        ("key", Level.MAYBE),
        ("eos_token", Level.MAYBE),
        ("KEYBOARD", Level.NONE),
        ("monkey", Level.NONE),
        ("passenger", Level.NONE),
        ("token_count", Level.NONE),
        ("predicted_token", Level.LIKELY),
        ("refresh_token", Level.SURE),
        ("MOUNTAIN_TOKEN", Level.SURE),
        ("boarding_pass", Level.LIKELY),
        ("db_pass", Level.SURE),
        ("trade_secret", Level.MAYBE),
        ("has_password", Level.MAYBE),
        ("public_key", Level.NONE),
        ("passwort", Level.SURE),
        ("PWD", Level.NONE),
        ("pwd", Level.SURE),
    ],
)
def test_names_are_read_as_words(name: str, level: Level) -> None:
    assert level_of(name) is level


HOSTILE = [
    "sk-",
    "sk-a1-",
    "Bearer ",
    "://a:",
    "://a:@",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----AAAAAAAAAAAAAAAAAAAA\n",
    "eyJ",
    "eyJaaaaaa.",
    "password=",
    'token="',
    "token='x=\\\"",
    "Password=a;",
    "xoxb-",
    "%3A%2F%2Fa%3A",
    "AKIA",
    "Basic YWRh",
    "1234567890:AA",
    "lovelace-1",
    "key_",
    "key=",
    "a.key=",
    "token=key=",
    "KEY:",
    "=KEY",
    "KEY=$",
    "a:key=",
    "key=x.key=",
    "password=password=",
    "passwords=['a',",
    "Cookie: a=",
    "cookie=",
    "a=b;",
    "--password ",
    "--password=-",
    "curl -u ",
    "<password>",
    "name=key,value=",
    "Authorization: Token ",
    "Pwd=a b",
    "password: a\n",
    'password\\"',
    "A",
    " ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_the_time_grows_with_the_text(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "lovelace-1")

    def text(size: int) -> str:
        return "password cookie curl </ value sk- " + piece * (size // len(piece))

    assert grows_linearly(redact, text, 5_000, 4)


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, before = Kept(), logging.getLogRecordFactory()
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)
    logging.setLogRecordFactory(before)


def test_logs_of_the_http_libraries_have_no_secrets(kept: Kept) -> None:
    logs.guard()
    logs.guard()
    url = "http://ada:lovelace@127.0.0.1:1/v1"
    logging.getLogger("httpx2").info('HTTP Request: %s %s "%s"', "POST", url, "HTTP/1.1")
    logging.getLogger("httpcore2.connection").debug(
        "connect_tcp.started %s", {"headers": {"x-api-key": "lovelace"}}
    )
    logging.getLogger("openai.of.later").debug(f"Request options: {{'authorization': 'Bearer {RANDOM}'}}")
    try:
        raise OSError(f"no way to {url}")
    except OSError:
        logging.getLogger("anthropic._base_client").exception("it failed")
    logging.getLogger("of.the.user").info(url)
    assert not [line for line in kept.lines[:-1] if "lovelace" in line or RANDOM in line]
    assert (
        kept.lines[0].startswith("HTTP Request: POST http://ada:[key]@127.0.0.1")
        and "OSError" in kept.lines[3]
    )
    assert kept.lines[-1] == url


def test_a_value_is_hidden_from_its_first_letter_on() -> None:
    assert redact("password=bluebird&x=1 PGPASSWORD=bluebird") == "password=[key]&x=1 PGPASSWORD=[key]"
    assert redact("password=b'bluebird'") == "password=b'[key]'"
