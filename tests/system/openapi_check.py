"""Is an answer of the API what its own OpenAPI document says?

House.api() asks this of every reply of the system tests, so the document can't drift from the handlers: operations, statuses, media
types, query parameters and every member of every JSON answer have to be declared."""
import copy
import json
import re
import urllib.parse

import jsonschema

PREFIX = "/api/v1"


def tightened(schema):
    """Clients have to live with members that are added; the tests do not: nothing may be said that is not declared."""
    if isinstance(schema, list):
        return [tightened(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {k: tightened(v) for k, v in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        schema.setdefault("additionalProperties", False)
    return schema


class Document:
    def __init__(self, text):
        self.doc = json.loads(text)
        self.components = tightened(copy.deepcopy(self.doc["components"]["schemas"]))
        self.seen = set()
        self.patterns = []
        for path, item in self.doc["paths"].items():
            pattern = re.compile("^" + re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + "$")
            self.patterns.append((path.count("{"), pattern, path, item))
        self.patterns.sort(key=lambda row: row[0])

    def operation(self, method, path):
        bare = path.removeprefix(PREFIX)
        bare = re.sub(r"^/tenants/[^/]+(?=/)", "", bare)
        for _, pattern, name, item in self.patterns:
            if pattern.match(bare) and method.lower() in item:
                return name, item[method.lower()]
        return None, None

    def resolve(self, o):
        while "$ref" in o:
            at = self.doc
            for part in o["$ref"].removeprefix("#/").split("/"):
                at = at[part]
            o = at
        return o

    def validator(self, schema):
        whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **tightened(schema), "components": {"schemas": self.components}}
        return jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())

    def check(self, method, target, status, content_type, body):
        """What is wrong with this answer, as a text; None when nothing is."""
        url = urllib.parse.urlsplit(target)
        name, op = self.operation(method, url.path)
        if op is None:
            return None if status in (400, 401, 404, 405) else f"{method} {target} is not in the document"
        self.seen.add(op["operationId"])
        where = f"{method} {name} {status}"
        if status < 400:
            declared = {self.resolve(p)["name"] for p in op["parameters"] if self.resolve(p)["in"] == "query"}
            for key in urllib.parse.parse_qs(url.query, keep_blank_values=True):
                if key not in declared:
                    return f"{where}: took the parameter {key}, which is not declared"
        response = op["responses"].get(str(status))
        if response is None:
            return f"{where}: this status is not declared"
        content = self.resolve(response).get("content")
        if not body:
            return None
        media = (content_type or "").split(";")[0].strip()
        if not content or media not in content:
            return f"{where}: {media} is not declared"
        schema = content[media].get("schema")
        if not schema or "json" not in media:
            return None
        lines = body.decode().splitlines() if media.endswith("ndjson") else [body]
        for line in lines:
            errors = sorted(self.validator(schema).iter_errors(json.loads(line)), key=lambda e: list(e.absolute_path))
            if errors:
                e = errors[0]
                return f"{where}: /{'/'.join(map(str, e.absolute_path))}: {e.message[:400]}"
        return None
