"""Answers commands on standard input, `CALL CONNECTION MARKETPLACE`, with a line of JSON each, in one process."""

import json
import sys

from connect import client
from sp_api.api import CatalogItems, Orders
from sp_api.auth.exceptions import AuthorizationError
from sp_api.base import SellingApiException
from sp_api.util import throttle_retry

clients = {}


def kept(api, connection, marketplace, **options):
    """Made once, as an agent that runs for days would."""
    key = (api, connection, marketplace)
    if key not in clients:
        clients[key] = client(api, connection, marketplace, **options)
    return clients[key]


def orders(connection, marketplace):
    api = kept(Orders, connection, marketplace)
    answer = api.get_orders(CreatedAfter="2020-01-01T00:00:00Z", MarketplaceIds=[marketplace])
    return [order["AmazonOrderId"] for order in answer.payload["Orders"]]


def items(connection, marketplace):
    api = kept(CatalogItems, connection, marketplace, version="2022-04-01")
    answer = api.search_catalog_items(keywords="mug", marketplaceIds=[marketplace])
    return [item["asin"] for item in answer.payload["items"]]


calls = {"orders": orders, "items": items, "items-patiently": throttle_retry(tries=3, delay=0)(items)}
for line in sys.stdin:
    call, *arguments = line.split()
    try:
        answer = {"answer": calls[call](*arguments)}
    except SellingApiException as error:
        answer = {
            "error": type(error).__name__,
            "status": error.code,
            "code": error.amzn_code,
            "message": error.message,
            "headers": dict(error.headers),
        }
    except AuthorizationError as error:
        answer = {
            "error": type(error).__name__,
            "status": error.status_code,
            "code": error.error_code,
            "message": error.message,
        }
    print(json.dumps(answer), flush=True)
