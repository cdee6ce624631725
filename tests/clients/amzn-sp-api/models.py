"""Holds every answer of the emulated Amazon against the models of Amazon's own client: a field that is required must be
there, each must have its type, and none may be there that the model does not know. Prints each operation that fits."""

import datetime
import json
import os
import sys

from spapi import (
    CatalogApi,
    Configuration,
    GetOrderApi,
    OrdersV0Api,
    SearchOrdersApi,
    SellersApi,
    SPAPIClient,
    SPAPIConfig,
)

configuration = Configuration()
configuration.ssl_ca_cert = os.environ["REQUESTS_CA_BUNDLE"]
Configuration.set_default(configuration)
marketplace, amazon = os.environ["MARKETPLACE"], os.environ["AMAZON"]
config = SPAPIConfig(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], os.environ["REFRESH_TOKEN"])
client = SPAPIClient(config, oauth_endpoint=f"{amazon}/auth/o2/token", endpoint=amazon).api_client


def plain(model):
    """What the model has kept of the answer."""
    if isinstance(model, list):
        return [plain(one) for one in model]
    if isinstance(model, dict):
        return {name: plain(one) for name, one in model.items()}
    if isinstance(model, datetime.datetime):
        return model.isoformat().replace("+00:00", "Z")
    if hasattr(model, "attribute_map"):
        fields = ((name, getattr(model, attribute)) for attribute, name in model.attribute_map.items())
        return {name: plain(value) for name, value in fields if value is not None}
    return model


def fits(operation, model):
    """Whether the answer that came last is what the model has kept of it."""
    answer, kept = json.loads(client.last_response.data), plain(model)
    if answer != kept:
        sys.exit(f"{operation}: answered {json.dumps(answer)}\nthe model has {json.dumps(kept)}")
    print(operation, flush=True)
    return model


since = "2020-01-01T00:00:00Z"
fits("sellers/v1/getMarketplaceParticipations", SellersApi(client).get_marketplace_participations())
v0 = OrdersV0Api(client)
orders = fits("orders/v0/getOrders", v0.get_orders([marketplace], created_after=since)).payload.orders
order = orders[0].amazon_order_id
fits("orders/v0/getOrder", v0.get_order(order))
fits("orders/v0/getOrderItems", v0.get_order_items(order))
included = ["BUYER", "RECIPIENT", "PROCEEDS", "FULFILLMENT"]
search = SearchOrdersApi(client).search_orders(created_after=since, marketplace_ids=[marketplace], included_data=included)
fits("orders/2026-01-01/searchOrders", search)
fits("orders/2026-01-01/getOrder", GetOrderApi(client).get_order(order, included_data=included))
catalog = CatalogApi(client)
included = ["summaries", "identifiers", "productTypes"]
found = catalog.search_catalog_items([marketplace], keywords=["mug"], included_data=included)
asin = fits("catalog/2022-04-01/searchCatalogItems", found).items[0].asin
fits("catalog/2022-04-01/getCatalogItem", catalog.get_catalog_item(asin, [marketplace], included_data=included))
