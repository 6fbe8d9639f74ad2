"""A plugin that adds a header to responses."""

import json

from wit_world import exports
from wit_world.exports.generator import (
    Attribute, Element, Form, Fragment, Node_Element, Node_Text, Part_Text, Policy, Section,
    Target_Api, Target_Operation, Value,
)

DESCRIPTOR = {
    "name": "example-python",
    "version": "1.0.0",
    "summary": "Adds a header to responses.",
    "phase": "transformation",
    "sections": ["outbound"],
    "configSchema": {
        "type": "object",
        "required": ["header", "text"],
        "additionalProperties": False,
        "properties": {
            "header": {"type": "string", "minLength": 1, "maxLength": 64},
            "text": {"type": "string", "maxLength": 200},
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
        operation = json.loads(context)["operation"]
        config = json.loads(config)
        nodes = [
            Node_Text(literal(config["text"], "/text")),
            Node_Element(Element("value", [], [0], None)),
            Node_Element(Element(
                "set-header",
                [
                    Attribute("name", literal(config["header"], "/header")),
                    Attribute("exists-action", literal("override")),
                ],
                [1],
                None,
            )),
        ]
        target = Target_Operation(operation["id"]) if operation else Target_Api()
        return Policy(nodes, [Fragment(Section.OUTBOUND, target, [2])], [], [])
