import sys

from connect import client
from sp_api.api import Orders

connection, marketplace = sys.argv[1:]  # acme/acme-na ATVPDKIKX0DER
orders = client(Orders, connection, marketplace)
for order in orders.get_orders(CreatedAfter="2020-01-01T00:00:00Z", MarketplaceIds=[marketplace]).payload["Orders"]:
    print(order["AmazonOrderId"])
