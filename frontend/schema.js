// Looks up places of a document in the JSON Schema of the language.

// All declarations for the path, with references resolved and alternatives listed.
export function declarationsAt(schema, path) {
  let found = expanded(schema, schema);
  for (const part of path) {
    found = found.flatMap((one) => {
      const next =
        typeof part === "number"
          ? one.items
          : (one.properties?.[part] ?? (typeof one.additionalProperties === "object" ? one.additionalProperties : null));
      return next ? expanded(schema, next) : [];
    });
  }
  return found;
}

function expanded(root, declaration, depth = 0) {
  if (depth > 8) return [];
  const { $ref, anyOf, oneOf, ...own } = declaration;
  const rest = Object.keys(own).length ? [own] : [];
  const target = $ref ? expanded(root, root.$defs[$ref.split("/").at(-1)], depth + 1) : [];
  const described = target.map((one) => (own.description ? { ...one, description: own.description } : one));
  const others = [...(anyOf ?? []), ...(oneOf ?? [])].flatMap((one) => expanded(root, one, depth + 1));
  return [...described, ...others, ...($ref ? [] : rest)];
}

export function keysAt(schema, path) {
  const keys = new Map();
  for (const declaration of declarationsAt(schema, path)) {
    for (const name of Object.keys(declaration.properties ?? {})) {
      const required = declaration.required?.includes(name) ?? false;
      keys.set(name, { name, required, ...summary(schema, [...path, name]) });
    }
  }
  return [...keys.values()];
}

export function valuesAt(schema, path) {
  const values = new Set();
  for (const declaration of declarationsAt(schema, path)) {
    for (const value of [...(declaration.enum ?? []), ...(declaration.examples ?? [])]) values.add(String(value));
    if (declaration.const !== undefined) values.add(String(declaration.const));
    if (declaration.type === "boolean") values.add("true").add("false");
  }
  return [...values];
}

export function summary(schema, path) {
  const declarations = declarationsAt(schema, path);
  const kinds = new Set(declarations.map((one) => one.title || one.type).filter((one) => typeof one === "string" && one !== "null" && one !== "Template"));
  const described = declarations.find((one) => one.description && one.title !== "Template");
  const preset = declarations.find((one) => one.default !== undefined && one.default !== null);
  return {
    kind: [...kinds].join(" or "),
    description: described?.description ?? "",
    preset: preset === undefined ? "" : JSON.stringify(preset.default),
  };
}
