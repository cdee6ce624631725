import functools
import os
import pathlib

from spapi import Configuration, SPAPIClient, SPAPIConfig

OPENTEAM = pathlib.Path(os.environ.get("OPENTEAM", "/var/run/openteam"))
URL = (OPENTEAM / "url").read_text().strip()

# Whom to trust: the library has its own way for the API, and calls Login with Amazon through requests.
configuration = Configuration()
configuration.ssl_ca_cert = os.environ["REQUESTS_CA_BUNDLE"] = str(OPENTEAM / "ca.crt")
Configuration.set_default(configuration)


@functools.lru_cache
def _client(refresh_token):
    config = SPAPIConfig(client_id="unused", client_secret="unused", refresh_token=refresh_token)
    return SPAPIClient(config, oauth_endpoint=f"{URL}/auth/o2/token", endpoint=URL).api_client


def client(connection):
    """What the APIs of the library take, for a connection, such as acme/acme-na. Ask anew at each use: the kubelet renews
    the token, and a client keeps the one it was made with."""
    return _client(f"{connection}~{(OPENTEAM / 'token').read_text().strip()}")
