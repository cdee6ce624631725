"""Answers commands on standard input, `CALL CONNECTION MARKETPLACE`, with a line of JSON each, in one process."""

import json
import sys

from connect import client
from spapi import ApiException, CatalogApi, OrdersV0Api
from spapi.auth.lwa_exception import LwaException


def orders(connection, marketplace):
    answer = OrdersV0Api(client(connection)).get_orders([marketplace], created_after="2020-01-01T00:00:00Z")
    return [order.amazon_order_id for order in answer.payload.orders]


def items(connection, marketplace):
    answer = CatalogApi(client(connection)).search_catalog_items([marketplace], keywords=["mug"])
    return [item.asin for item in answer.items]


calls = {"orders": orders, "items": items}
for line in sys.stdin:
    call, *arguments = line.split()
    try:
        answer = {"answer": calls[call](*arguments)}
    except ApiException as error:
        [first] = json.loads(error.body)["errors"]
        answer = {
            "error": type(error).__name__,
            "status": error.status,
            "code": first["code"],
            "message": first["message"],
            "headers": dict(error.headers),
        }
    except LwaException as error:
        answer = {"error": type(error).__name__, "code": error.error_code, "message": error.error_message}
    print(json.dumps(answer), flush=True)
