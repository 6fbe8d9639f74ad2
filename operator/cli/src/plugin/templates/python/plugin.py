"""Tells callers which team answers: sets a header of every response."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.generator import (
    Attribute,
    Diagnostic,
    Element,
    Form,
    Fragment,
    Node_Element,
    Node_Text,
    Part_Text,
    Policy,
    Section,
    Severity,
    Target_Api,
    Target_Operation,
    Value,
)
from wit_world.imports import log

DESCRIPTOR = {
    "name": "@NAME@",
    "version": "0.1.0",
    "summary": "Says which team answers.",
    "phase": "transformation",
    "sections": ["outbound"],
    # The operator checks every config against this before `generate` sees it.
    "configSchema": {
        "type": "object",
        "required": ["team"],
        "additionalProperties": False,
        "properties": {
            "team": {
                "type": "string",
                "description": "The team that answers.",
                "minLength": 1,
                "maxLength": 80,
            },
            "header": {
                "type": "string",
                "description": "The header that says so.",
                "pattern": "^[A-Za-z0-9-]{1,60}$",
                "default": "X-Team",
            },
        },
    },
}


def literal(text, pointer=None):
    """Text that comes out as that text; `pointer` says where the config has it."""
    return Value(Form.LITERAL, [Part_Text(text)], pointer)


class Generator(exports.Generator):
    def describe(self) -> str:
        return json.dumps(DESCRIPTOR)

    def read_spec(self, request: str) -> str:
        return json.dumps({"enabled": None, "config": {}})

    def generate(self, context: str, config: str) -> Policy:
        context, config = json.loads(context), json.loads(config)
        header = config.get("header", "X-Team")
        log.write(log.Level.DEBUG, f"{config['team']} answers for {context['api']['name']}")
        if header.lower().startswith("ocp-apim-"):
            message = f"`{header}` is a header of API Management's own; choose another name"
            raise Err([Diagnostic(Severity.ERROR, "/header", message)])
        name = Attribute("name", literal(header, "/header"))
        replaces = Attribute("exists-action", literal("override"))
        # A flat list: an element names its children by their place in it.
        nodes = [
            Node_Text(literal(config["team"], "/team")),
            Node_Element(Element("value", [], [0], None)),
            Node_Element(Element("set-header", [name, replaces], [1], None)),
        ]
        operation = context.get("operation")
        target = Target_Operation(operation["id"]) if operation else Target_Api()
        return Policy(nodes, [Fragment(Section.OUTBOUND, target, [2])], [], [])
