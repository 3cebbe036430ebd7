"""What a proxy for the Internet is not asked for."""

import os
import urllib.request

import pytest

from runtime.proxies import bypass_proxies

PROXY = "http://proxy:3128"


@pytest.mark.parametrize(
    ("given", "no_proxy"),
    [
        ({"http_proxy": PROXY}, "metadata.google.internal,169.254.169.254"),
        (
            {"HTTPS_PROXY": PROXY, "NO_PROXY": "intranet, .local"},
            "intranet,.local,metadata.google.internal,169.254.169.254",
        ),
        (
            {"https_proxy": PROXY, "no_proxy": "a", "GCE_METADATA_IP": "10.0.0.9:80"},
            "a,metadata.google.internal,169.254.169.254,10.0.0.9",
        ),
    ],
)
def test_hosts_and_metadata_are_reached_directly(monkeypatch, given, no_proxy):
    monkeypatch.setattr(os, "environ", dict(given))
    for _ in range(2):  # Once for the hosts, once for the input service.
        bypass_proxies()
        assert os.environ == {**given, "grpc_proxy": "", "no_proxy": no_proxy}
    assert urllib.request.proxy_bypass_environment("metadata.google.internal")
    assert not urllib.request.proxy_bypass_environment("storage.googleapis.com")


def test_what_the_user_says_of_grpc_stays(monkeypatch):
    given = {"http_proxy": PROXY, "grpc_proxy": PROXY}
    monkeypatch.setattr(os, "environ", dict(given))
    bypass_proxies()
    assert given.items() <= os.environ.items()


def test_without_a_proxy_nothing_changes(monkeypatch):
    monkeypatch.setattr(os, "environ", {"NO_PROXY": "a"})
    bypass_proxies()
    assert os.environ == {"NO_PROXY": "a"}
