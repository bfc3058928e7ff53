// Finds the place of the cursor in a YAML document from indentation and brackets, because no parser accepts a
// document that is still being typed.

const DASH = /^-(?:\s+|$)/;
const PAIR = /^("[^"]*"|'[^']*'|[^\s:#{}[\],][^:#{}[\]]*?)\s*:(?:\s+|$)/;

// {path: keys and indexes of the mapping, key: the key whose value is being written (or null), word, from}
export function placeAt(text, position) {
  const start = text.lastIndexOf("\n", position - 1) + 1;
  const stack = blockStack(text.slice(0, start));
  const line = text.slice(start, position);
  let column = line.length - line.trimStart().length;
  for (let dash = DASH.exec(line.slice(column)); dash; dash = DASH.exec(line.slice(column))) {
    enterItem(stack, column);
    column += dash[0].length;
  }
  const rest = line.slice(column);
  const pair = PAIR.exec(rest);
  if (!pair) {
    if (/^[{[]/.test(rest)) return flowPlace(rest, popTo(stack, column), start + column);
    const path = popTo(stack, column);
    return { path, key: null, word: rest, from: position - rest.length };
  }
  const path = popTo(stack, column);
  const key = unquoted(pair[1]);
  const value = rest.slice(pair[0].length);
  if (/^[{[]/.test(value)) return flowPlace(value, [...path, key], start + column + pair[0].length);
  return { path, key, word: value, from: position - value.length };
}

function unquoted(word) {
  return word.replace(/^["']|["']$/g, "");
}

function popTo(stack, column) {
  while (stack.length && stack.at(-1).column >= column) stack.pop();
  return stack.map((entry) => entry.key);
}

function enterItem(stack, column) {
  while (stack.length && stack.at(-1).column > column) stack.pop();
  const last = stack.at(-1);
  if (last && last.column === column && typeof last.key === "number") last.key += 1;
  else stack.push({ column, key: 0 });
}

function blockStack(text) {
  const stack = [];
  let blockScalar = -1;
  for (const line of text.split("\n")) {
    if (!line.trim() || /^\s*#/.test(line)) continue;
    let column = line.length - line.trimStart().length;
    if (blockScalar >= 0) {
      if (column > blockScalar) continue;
      blockScalar = -1;
    }
    for (let dash = DASH.exec(line.slice(column)); dash; dash = DASH.exec(line.slice(column))) {
      enterItem(stack, column);
      column += dash[0].length;
    }
    const pair = PAIR.exec(line.slice(column));
    if (!pair) continue;
    popTo(stack, column);
    stack.push({ column, key: unquoted(pair[1]) });
    if (/:\s+[|>][-+0-9]*\s*$/.test(line)) blockScalar = column;
  }
  return stack;
}

// Inside {…} or […] on one line.
function flowPlace(text, base, offset) {
  const path = [...base];
  const open = [];
  let word = "";
  let from = offset;
  let key = null;
  let quote = null;
  const reset = (index) => {
    word = "";
    from = offset + index + 1;
  };
  for (let index = 0; index < text.length; index += 1) {
    const letter = text[index];
    if (quote) {
      if (letter === quote) quote = null;
      word += letter;
    } else if (letter === '"' || letter === "'") {
      quote = letter;
      word += letter;
    } else if (letter === "{" || letter === "[") {
      if (key !== null) path.push(key);
      open.push({ letter, pushed: key !== null });
      if (letter === "[") path.push(0);
      key = null;
      reset(index);
    } else if (letter === "}" || letter === "]") {
      const opened = open.pop();
      if (opened?.letter === "[") path.pop();
      if (opened?.pushed) path.pop();
      key = null;
      reset(index);
    } else if (letter === ",") {
      key = null;
      reset(index);
    } else if (letter === ":" && /\s|$/.test(text[index + 1] ?? "") && open.at(-1)?.letter === "{") {
      key = unquoted(word.trim());
      reset(index);
    } else if (letter === " " && !word) {
      from = offset + index + 1;
    } else {
      word += letter;
    }
  }
  if (!open.length) return { path: [], key: null, word: "", from: offset + text.length, outside: true };
  return { path, key, word, from };
}
