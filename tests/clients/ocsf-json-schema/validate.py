"""Validates events against OCSF's own schema: `validate.py EXAMPLES`, a JSON object of events by name.

Prints one JSON object: what is wrong, by the event's name; empty when nothing is.
"""

import json
import sys

from jsonschema.validators import validator_for
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

VERSION = "1.8.0"


def faults(schemas, event):
    """What is wrong with one event."""
    class_uid = event.get("class_uid")
    try:
        name = schemas.lookup_class_name_from_uid(class_uid)
    except ValueError as unknown:
        return [str(unknown)]
    schema = schemas.get_class_schema(name, event.get("metadata", {}).get("profiles", []))
    found = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in validator_for(schema)(schema).iter_errors(event)
    ]
    # What the schema leaves unchecked.
    if event.get("type_uid") != class_uid * 100 + event.get("activity_id", -1):
        found.append("type_uid: not class_uid * 100 + activity_id")
    if event.get("category_uid") != class_uid // 1000:
        found.append("category_uid: not that of the class")
    if event.get("metadata", {}).get("version") != VERSION:
        found.append("metadata/version: another one")
    return found


def main():
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(VERSION))
    with open(sys.argv[1], encoding="utf-8") as file:
        events = json.load(file)
    found = {name: faults(schemas, event) for name, event in events.items()}
    print(json.dumps({name: wrong for name, wrong in found.items() if wrong}))


main()
