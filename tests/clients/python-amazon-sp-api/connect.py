import os
import pathlib

from sp_api.auth import AccessTokenClient

OPENTEAM = pathlib.Path(os.environ.get("OPENTEAM", "/var/run/openteam"))
URL = (OPENTEAM / "url").read_text().strip()


class Gateway(AccessTokenClient):
    """Login with Amazon, at the gateway."""

    host = URL.removeprefix("https://")

    def __init__(self, refresh_token, **options):
        super().__init__(refresh_token, **options)
        self.connection = refresh_token

    def get_auth(self):
        # Read at each use: the kubelet renews the token.
        self.cred.refresh_token = f"{self.connection}~{(OPENTEAM / 'token').read_text().strip()}"
        return super().get_auth()


class Marketplace:
    """What the library wants to know of a marketplace."""

    def __init__(self, marketplace_id):
        self.endpoint, self.marketplace_id, self.region = URL, marketplace_id, "us-east-1"


def client(api, connection, marketplace_id, **options):
    """A client of an API, such as Orders, for a connection, such as acme/acme-na. Make one and keep it."""
    return api(
        Marketplace(marketplace_id),
        refresh_token=connection,
        credentials={"lwa_app_id": "unused", "lwa_client_secret": "unused"},
        auth_token_client_class=Gateway,
        verify=str(OPENTEAM / "ca.crt"),
        **options,
    )
