// Tells callers which team answers: sets a header of every response.

import { write } from "oda:policy/log@1.0.0";

const descriptor = {
  name: "@NAME@",
  version: "0.1.0",
  summary: "Says which team answers.",
  phase: "transformation",
  sections: ["outbound"],
  // The operator checks every config against this before `generate` sees it.
  configSchema: {
    type: "object",
    required: ["team"],
    additionalProperties: false,
    properties: {
      team: {
        type: "string",
        description: "The team that answers.",
        minLength: 1,
        maxLength: 80,
      },
      header: {
        type: "string",
        description: "The header that says so.",
        pattern: "^[A-Za-z0-9-]{1,60}$",
        default: "X-Team",
      },
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

  generate(contextText, configText) {
    const { api, operation } = JSON.parse(contextText);
    const { team, header = "X-Team" } = JSON.parse(configText);
    write("debug", `${team} answers for ${api.name}`);
    if (header.toLowerCase().startsWith("ocp-apim-")) {
      const message = `\`${header}\` is a header of API Management's own; choose another name`;
      throw [{ severity: "error", pointer: "/header", message }];
    }
    const attributes = [
      { name: "name", value: literal(header, "/header") },
      { name: "exists-action", value: literal("override") },
    ];
    // A flat list: an element names its children by their place in it.
    const nodes = [
      { tag: "text", val: literal(team, "/team") },
      { tag: "element", val: { name: "value", attributes: [], children: [0] } },
      { tag: "element", val: { name: "set-header", attributes, children: [1] } },
    ];
    const target = operation ? { tag: "operation", val: operation.id } : { tag: "api" };
    return { nodes, fragments: [{ section: "outbound", target, roots: [2] }], raw: [], diagnostics: [] };
  },
};
