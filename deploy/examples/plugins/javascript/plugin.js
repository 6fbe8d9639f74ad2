// A plugin that adds a header to responses.

const descriptor = {
  name: "example-javascript",
  version: "1.0.0",
  summary: "Adds a header to responses.",
  phase: "transformation",
  sections: ["outbound"],
  configSchema: {
    type: "object",
    required: ["header", "text"],
    additionalProperties: false,
    properties: {
      header: { type: "string", minLength: 1, maxLength: 64 },
      text: { type: "string", maxLength: 200 },
    },
  },
};

// Text that comes out as that text; `pointer` says where the config has it.
const literal = (text, pointer) => ({
  form: "literal",
  parts: [{ tag: "text", val: text }],
  pointer,
});

export const generator = {
  describe() {
    return JSON.stringify(descriptor);
  },

  readSpec() {
    return JSON.stringify({ enabled: null, config: {} });
  },

  generate(context, config) {
    const { operation } = JSON.parse(context);
    const { header, text } = JSON.parse(config);
    const nodes = [
      { tag: "text", val: literal(text, "/text") },
      { tag: "element", val: { name: "value", attributes: [], children: [0] } },
      { tag: "element", val: { name: "set-header", attributes: [
          { name: "name", value: literal(header, "/header") },
          { name: "exists-action", value: literal("override") }
      ], children: [1] } },
    ];
    const target = operation ? { tag: "operation", val: operation.id } : { tag: "api" };
    return {
      nodes,
      fragments: [{ section: "outbound", target, roots: [2] }],
      raw: [],
      diagnostics: [],
    };
  },
};
