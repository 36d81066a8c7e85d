"""What comes from outside is shown without secrets and control characters."""

from urllib.parse import quote

import pytest
import requests

from pipeline.plumbing.messages import LONGEST, brief, printable, shown, told, without_secrets


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://host/a/b.zip", "http://host/a/b.zip"),
        ("https://user:word@host:8443/a?token=x#mark", "https://host:8443/a"),
        ("https://user@host/a", "https://host/a"),
        ("https://user:a@b@host/", "https://host/"),
        ("https://host?token=x", "https://host"),
        ("https://host/@scope/a", "https://host/@scope/a"),
        ("http://u:w@[::1]:5000/x", "http://[::1]:5000/x"),
        ("http://[::1]/x", "http://[::1]/x"),
        ("http://user:wo/rd@host/x", "http://..."),
        ("http://user:wo#rd@host/x", "http://..."),
        ("http://user:wo?rd@host/x", "http://..."),
        ("postgresql+psycopg2://user:word@host:5432/name?sslmode=require", "postgresql+psycopg2://host:5432/name"),
        ("sqlite:////home/me/C#/mlflow.db?mode=ro", "sqlite:////home/me/C#/mlflow.db"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("file:///data/a%20b.zip", "file:///data/a%20b.zip"),
        ("ssh://user@host:/path", "ssh://host:/path"),
        ("tcp://10.0.0.1:8786", "tcp://10.0.0.1:8786"),
        ("user:word@host:5000/x", "host:5000/x"),
        ("/home/me@work/C#/mlruns", "/home/me@work/C#/mlruns"),
        ("databricks", "databricks"),
        ("", ""),
        ("http://host/\x1b[2J\u202e", r"http://host/\x1b[2J\u202e"),
    ],
)
def test_an_address_is_shown_without_user_password_query_and_fragment(address, expected):
    assert shown(address) == expected


def test_addresses_in_a_text_lose_their_secrets():
    text = "('http://u:w@a/x?t=1', ftp://u:w@b/y#z) \"s3://bucket/k y?sig=2\" https://plain/c"
    assert without_secrets(text) == "('http://a/x', ftp://b/y \"s3://bucket/k y\" https://plain/c"


def test_secrets_of_a_known_address_are_found_wherever_they_stand():
    """Also decoded, alone, and where the address is no address."""
    known = f"http://bob:{quote('my secret/word', safe='')}@host/x?token=abc%2Fdef&raw=1#the-mark"
    text = f"{known}; my secret/word; my%20secret%2Fword; abc/def; abc%2Fdef; the-mark; bob; 1"
    assert without_secrets(text, known) == "http://host/x; ***; ***; ***; ***; ***; bob; 1"
    assert told("no 'http://bob:my word@ho st'", "http://bob:my word@ho st") == "no 'http://ho st'"


def test_what_requests_says_of_a_dead_server_tells_no_query():
    """urllib3 gives the path alone, and the query with it."""
    with pytest.raises(requests.ConnectionError) as error:
        requests.get("http://bob:SECRET@127.0.0.1:1/x?token=SECRET&other=SECRET")
    assert "SECRET" in str(error.value)
    assert "SECRET" not in told(error.value)
    assert "Max retries exceeded with url: /x (Caused by" in told(error.value)


def test_other_words_stay_as_they_are():
    text = "no such table: runs [SQL: SELECT a FROM runs WHERE id = ? AND name IN (?, ?)]; what? a = b"
    assert told(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ü 漢 'x'", "plain ü 漢 'x'"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb\rc\td\0", r"a\nb\rc\td\x00"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2028\x85\u200b\ufeff", r"\u2028\x85\u200b\ufeff"),
        ("\udcff", r"\xff"),
    ],
)
def test_control_characters_are_escaped(text, expected):
    assert printable(text) == expected
    assert told(text) == expected


def test_some_characters_may_be_kept():
    assert printable("a\nb\x1b", but="\n") == "a\nb\\x1b"


def test_long_texts_are_cut():
    assert told("x" * 1000) == "x" * LONGEST + "..."
    assert len(told("\x00" * 10**6)) == len(brief("\x00" * 10**6 + "x").ljust(LONGEST + 3))


def test_a_value_is_shown_as_python_shows_it():
    for value in (0, 1.5, "text", [1, "a"], {"a": [1]}, None, True, float("inf"), "\x1b\u202e", "img?v=2.png"):
        assert brief(value) == repr(value)


def test_no_secret_of_an_address_in_a_value_is_shown():
    """Also where the text is cut in the middle."""
    address = f"https://user:{'SECRET' * 50}@host/{'path' * 50}?token=SECRET"
    for value in (address, [address], {"url": {"of": address}}, {address: 1}):
        assert "SECRET" not in brief(value)
        assert "https://host/path" in brief(value)


def test_a_block_that_aliases_have_blown_up_is_shown_in_short():
    """Nine levels of nine aliases each: in full it would take gigabytes."""
    block = ["lol"]
    for _ in range(12):
        block = [block] * 9
    assert len(brief(block)) <= LONGEST + 3
    assert len(brief({str(key): block for key in range(1000)})) <= LONGEST + 3
