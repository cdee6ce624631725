"""What an agent pod does in the demo: an unmodified python-amazon-sp-api, a ServiceAccount token, nothing of Amazon's.

Prints one JSON object a line. Exits with 1 when something is not as it must be.
"""

import base64
import hashlib
import json
import os
import pathlib
import re
import secrets
import sys
import time

from connect import client
from search import PIECE, files, found
from sp_api.api import CatalogItems, Orders
from sp_api.base import SellingApiException

CONNECTION = os.environ["OPENTEAM_CONNECTION"]
# Written by whoever started this pod, moved into place when it is whole.
DIGESTS = pathlib.Path("/tmp/digests")
PLANTED = pathlib.Path("/tmp/planted")
PATIENCE_SECONDS = 120
SYSTEM = ("/proc", "/sys", "/dev")
TOKEN = re.compile(rb"Atz[ar](?:\||%7C|\\u007c)[A-Za-z0-9_+/=-]{20}", re.IGNORECASE)


def orders(marketplace_id):
    """The orders of a marketplace, as the client returns them."""
    answer = client(Orders, CONNECTION, marketplace_id).get_orders(
        CreatedAfter="2020-01-01T00:00:00Z", MarketplaceIds=[marketplace_id]
    )
    return answer.payload["Orders"]


def given():
    """The digests of everything that is to be looked for."""
    for _ in range(PATIENCE_SECONDS):
        if DIGESTS.exists():
            return set(DIGESTS.read_text().split())
        time.sleep(1)
    sys.exit("nobody says what to look for")


def everything(answers):
    """Every place of this pod that could hold a credential: environment, answers, files; each with its content."""
    for name, value in os.environ.items():
        yield f"environment variable {name}", value.encode()
    yield "an answer", json.dumps(answers).encode()
    yield from files("/", SYSTEM)


def look(places, digests):
    """How many places there are, and those with a credential of Amazon's."""
    count, left = 0, []
    for place, content in places:
        count += 1
        if what := found(content, digests) + begun(content):
            left.append(f"{place}: {', '.join(what)}")
    return count, left


def begun(content):
    """Whether a token of Amazon's begins somewhere, whoever's it is: source code of clients may spell the beginning alone."""
    return ["a token"] if TOKEN.search(content) else []


def main():
    """Everything the demo asks of an agent."""
    inside, outside = os.environ["MARKETPLACE_INSIDE"], os.environ["MARKETPLACE_OUTSIDE"]
    answers = orders(inside)
    print(json.dumps({
        "step": "orders",
        "client": "python-amazon-sp-api",
        "orders": [order["AmazonOrderId"] for order in answers],
        "marketplaces": sorted({order["MarketplaceId"] for order in answers}),
    }))
    catalog = (
        client(CatalogItems, CONNECTION, inside, version="2022-04-01")
        .search_catalog_items(keywords="mug", marketplaceIds=[inside])
        .payload
    )
    answers.append(catalog)
    print(json.dumps({"step": "catalog", "items": [item["asin"] for item in catalog["items"]]}))
    try:
        orders(outside)
        refused = None
    except SellingApiException as error:
        refused = {"status": error.code, "error": error.error}
    print(json.dumps({"step": "outside", "marketplace": outside, "refused": refused}))

    # By now Amazon has handed out what these calls were made with. What all of it is, whoever started this pod says.
    print(json.dumps({"step": "waiting for digests"}), flush=True)
    digests = given()
    # The search must be able to find something: it is tried on planted ones first.
    secret = secrets.token_urlsafe(PIECE)[:PIECE].encode()
    own = hashlib.sha256(secret).hexdigest()
    seen = []
    for spelling, text in (
        ("plain", secret),
        ("base64", base64.b64encode(b"=" + secret)),
        ("a token", b"Atza" + b"|" + b"x" * 30),
    ):
        PLANTED.write_bytes(text)
        _, left = look(files("/tmp"), digests | {own})
        seen.append(left == [f"{PLANTED}: {spelling}"])
    PLANTED.unlink()
    searched, left = look(everything(answers), digests)
    sees = all(seen)
    print(json.dumps({"step": "search", "sees": sees, "files": searched, "values": len(digests), "found": left}))
    sys.exit(0 if answers and refused and digests and sees and not left else 1)


main()
