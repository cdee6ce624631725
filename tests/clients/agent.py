"""What an agent pod does in the demo: an unmodified python-amazon-sp-api, a ServiceAccount token, nothing of Amazon's.

Prints one JSON object a line. Exits with 1 when something is not as it must be.
"""

import json
import os
import pathlib
import sys

from connect import client
from sp_api.api import CatalogItems, Orders
from sp_api.base import SellingApiException

CONNECTION = os.environ["OPENTEAM_CONNECTION"]


def orders(marketplace_id):
    """The orders of a marketplace, as the client returns them."""
    answer = client(Orders, CONNECTION, marketplace_id).get_orders(
        CreatedAfter="2020-01-01T00:00:00Z", MarketplaceIds=[marketplace_id]
    )
    return answer.payload["Orders"]


def credentials_of_amazon(answers):
    """Every place in this pod that holds a token of Amazon's: environment, files, answers."""
    needles = [bytes(prefix + "|", "ascii") for prefix in ("Atza", "Atzr")]
    needles += [needle.replace(b"|", b"%7C") for needle in needles]
    found = []
    for name, value in os.environ.items():
        if any(needle in value.encode() for needle in needles):
            found.append(f"environment variable {name}")
    if any(needle in json.dumps(answers).encode() for needle in needles):
        found.append("an answer")
    searched = 0
    for top, directories, files in os.walk("/"):
        directories[:] = [d for d in directories if os.path.join(top, d) not in ("/proc", "/sys", "/dev")]
        for name in files:
            path = os.path.join(top, name)
            try:
                content = pathlib.Path(path).read_bytes()
            except OSError:
                continue
            searched += 1
            # Source code of clients may spell the prefix; a token has its long body behind it.
            if any(has_token(content, needle) for needle in needles):
                found.append(path)
    return searched, found


def has_token(content, needle):
    """Whether the needle stands before at least 20 characters of a token."""
    at = content.find(needle)
    while at >= 0:
        body = content[at + len(needle) : at + len(needle) + 20]
        if len(body) == 20 and all(chr(b).isalnum() or b in b"-_+/=" for b in body):
            return True
        at = content.find(needle, at + 1)
    return False


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

    # The search must be able to find something: it is tried on a planted one first.
    planted = pathlib.Path("/tmp/planted")
    planted.write_text("Atza" + "|" + "x" * 30)
    _, found = credentials_of_amazon(answers)
    sees = found == [str(planted)]
    planted.unlink()
    searched, found = credentials_of_amazon(answers)
    print(json.dumps({"step": "search", "sees": sees, "files": searched, "found": found}))
    sys.exit(0 if answers and refused and sees and not found else 1)


main()
