import sys

from connect import client
from spapi import OrdersV0Api

connection, marketplace = sys.argv[1:]  # acme/acme-na ATVPDKIKX0DER
orders = OrdersV0Api(client(connection))
for order in orders.get_orders([marketplace], created_after="2020-01-01T00:00:00Z").payload.orders:
    print(order.amazon_order_id)
