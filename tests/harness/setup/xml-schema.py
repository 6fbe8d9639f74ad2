"""Validates XML documents by a schema, as `xmllint --schema` does: errors go
to stderr, and the exit code says whether there were any."""

import sys

from lxml import etree

schema = etree.XMLSchema(etree.parse(sys.argv[1]))
failed = False
for path in sys.argv[2:]:
    try:
        document = etree.parse(path)
    except etree.XMLSyntaxError as error:
        print(f"{path}: {error}", file=sys.stderr)
        failed = True
        continue
    if not schema.validate(document):
        for entry in schema.error_log:
            print(f"{path}:{entry.line}: {entry.message}", file=sys.stderr)
        failed = True
sys.exit(3 if failed else 0)
