import os
import socket

host, port = os.environ["GATEWAY_HOST"], int(os.environ["GATEWAY_PORT"])
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda name, *rest, **named: resolve("127.0.0.1" if name == host else name, *rest, **named)

from sp_api.api import Orders
from sp_api.auth import AccessTokenClient


class Gateway(AccessTokenClient):
    scheme = "https://"
    host = f"{os.environ['GATEWAY_HOST']}:{port}"
    path = "/auth/o2/token"


class Marketplace:
    endpoint = f"https://{host}:{port}"
    marketplace_id = os.environ["MARKETPLACE"]
    region = "us-east-1"


orders = Orders(
    marketplace=Marketplace(),
    credentials={
        "refresh_token": os.environ["REFRESH_TOKEN"],
        "lwa_app_id": "not looked at",
        "lwa_client_secret": "not looked at",
    },
    auth_token_client_class=Gateway,
    verify=os.environ["GATEWAY_CA"],
)
for order in orders.get_orders(CreatedAfter="2020-01-01T00:00:00Z").payload["Orders"]:
    print(order["AmazonOrderId"])
