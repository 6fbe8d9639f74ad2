/* A plugin that adds a header to responses. */
#include "json.h"
#include <stdlib.h>

static const char DESCRIPTOR[] =
    "{\"name\": \"example-c\", \"version\": \"1.0.0\", \"summary\": \"Adds a header to responses.\","
    " \"phase\": \"transformation\", \"sections\": [\"outbound\"],"
    " \"configSchema\": {\"type\": \"object\", \"required\": [\"header\", \"text\"],"
    "  \"additionalProperties\": false, \"properties\": {"
    "   \"header\": {\"type\": \"string\", \"minLength\": 1, \"maxLength\": 64},"
    "   \"text\": {\"type\": \"string\", \"maxLength\": 200}}}}";

typedef exports_oda_policy_generator_value_t value_t;
typedef exports_oda_policy_generator_node_t node_t;
typedef exports_oda_policy_generator_attribute_t attribute_t;

void exports_oda_policy_generator_describe(plugin_string_t *ret) {
  plugin_string_dup(ret, DESCRIPTOR);
}

bool exports_oda_policy_generator_read_spec(plugin_string_t *request, plugin_string_t *ret,
                                            exports_oda_policy_generator_list_diagnostic_t *err) {
  (void)request, (void)err;
  plugin_string_dup(ret, "{\"enabled\": null, \"config\": {}}");
  return true;
}

/* Text that comes out as that text; `pointer` says where the config has it. */
static value_t literal(plugin_string_t text, const char *pointer) {
  value_t value = {.form = EXPORTS_ODA_POLICY_GENERATOR_FORM_LITERAL};
  value.parts.len = 1;
  value.parts.ptr = malloc(sizeof *value.parts.ptr);
  value.parts.ptr[0].tag = EXPORTS_ODA_POLICY_GENERATOR_PART_TEXT;
  value.parts.ptr[0].val.text = text;
  if (pointer) {
    value.pointer.is_some = true;
    plugin_string_dup(&value.pointer.val, pointer);
  }
  return value;
}

static attribute_t attribute(const char *name, value_t value) {
  attribute_t attribute = {.value = value};
  plugin_string_dup(&attribute.name, name);
  return attribute;
}

/* An element whose only child is the node with this index. */
static node_t element(const char *name, uint32_t child) {
  node_t node = {.tag = EXPORTS_ODA_POLICY_GENERATOR_NODE_ELEMENT};
  plugin_string_dup(&node.val.element.name, name);
  node.val.element.children.len = 1;
  node.val.element.children.ptr = malloc(sizeof(uint32_t));
  node.val.element.children.ptr[0] = child;
  return node;
}

static bool refuse(const char *pointer, const char *message,
                   exports_oda_policy_generator_list_diagnostic_t *err) {
  err->len = 1;
  err->ptr = malloc(sizeof *err->ptr);
  err->ptr[0].severity = EXPORTS_ODA_POLICY_GENERATOR_SEVERITY_ERROR;
  plugin_string_dup(&err->ptr[0].pointer, pointer);
  plugin_string_dup(&err->ptr[0].message, message);
  return false;
}

bool exports_oda_policy_generator_generate(plugin_string_t *context, plugin_string_t *config,
                                           exports_oda_policy_generator_policy_t *ret,
                                           exports_oda_policy_generator_list_diagnostic_t *err) {
  const char *from = (const char *)config->ptr, *to = from + config->len;
  const char *header_at = json_field(from, to, "header"), *text_at = json_field(from, to, "text");
  plugin_string_t header, text;
  if (!header_at || !json_string(header_at, to, &header)) {
    return refuse("/header", "the name of a header is missing", err);
  }
  if (!text_at || !json_string(text_at, to, &text)) {
    return refuse("/text", "the text of the header is missing", err);
  }

  node_t *nodes = malloc(3 * sizeof *nodes);
  nodes[0].tag = EXPORTS_ODA_POLICY_GENERATOR_NODE_TEXT;
  nodes[0].val.text = literal(text, "/text");
  nodes[1] = element("value", 0);
  nodes[2] = element("set-header", 1);
  plugin_string_t override;
  plugin_string_dup(&override, "override");
  nodes[2].val.element.attributes.len = 2;
  nodes[2].val.element.attributes.ptr = malloc(2 * sizeof(attribute_t));
  nodes[2].val.element.attributes.ptr[0] = attribute("name", literal(header, "/header"));
  nodes[2].val.element.attributes.ptr[1] = attribute("exists-action", literal(override, NULL));

  exports_oda_policy_generator_fragment_t *fragment = malloc(sizeof *fragment);
  fragment->section = EXPORTS_ODA_POLICY_GENERATOR_SECTION_OUTBOUND;
  fragment->target.tag = EXPORTS_ODA_POLICY_GENERATOR_TARGET_API;
  const char *end = (const char *)context->ptr + context->len;
  const char *operation = json_field((const char *)context->ptr, end, "operation");
  const char *id = operation ? json_field(operation, end, "id") : NULL;
  if (id && json_string(id, end, &fragment->target.val.operation)) {
    fragment->target.tag = EXPORTS_ODA_POLICY_GENERATOR_TARGET_OPERATION;
  }
  fragment->roots.len = 1;
  fragment->roots.ptr = malloc(sizeof(uint32_t));
  fragment->roots.ptr[0] = 2;

  *ret = (exports_oda_policy_generator_policy_t){
      .nodes = {nodes, 3},
      .fragments = {fragment, 1},
  };
  return true;
}
