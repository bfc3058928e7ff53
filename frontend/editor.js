// <scenario-editor for="ID of the textarea" draft="URL" schema="URL">: the textarea stays the form's field, and
// the editor writes into it. Without JavaScript there is only the textarea.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, HighlightStyle, indentOnInput, indentService, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, linter } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, hoverTooltip, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { keysAt, summary, valuesAt } from "./schema.js";
import { placeAt } from "./yaml_place.js";

// Together with the response of the server, errors appear within 300 ms of the last key.
const QUIET_MILLISECONDS = 150;

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--running)" },
  { tag: [tags.string, tags.content], color: "var(--body-fg)" },
  { tag: [tags.attributeValue, tags.special(tags.string)], color: "var(--passed)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--body-quiet-color)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.squareBracket, tags.brace, tags.separator], color: "var(--errored)" },
]);

// Indents the line below a key without a value, which the YAML package would not.
const belowKey = indentService.of((context, position) => {
  const key = /^[\s-]*(?=[^\s#-][^#]*:\s*(#.*)?$)/.exec(context.lineAt(position, -1).text);
  return key ? key[0].length + context.unit : undefined;
});

const look = EditorView.theme({
  "&": { fontSize: "13px", backgroundColor: "var(--body-bg)", color: "var(--body-fg)" },
  "&.cm-focused": { outline: "3px solid var(--primary)", outlineOffset: "-3px" },
  ".cm-scroller": { fontFamily: "var(--font-family-monospace)", lineHeight: "1.55", minHeight: "18rem", maxHeight: "70vh", overflow: "auto" },
  ".cm-content": { caretColor: "var(--body-fg)" },
  ".cm-cursor": { borderLeftColor: "var(--body-fg)" },
  ".cm-gutters": { backgroundColor: "var(--darkened-bg)", color: "var(--body-quiet-color)", borderRight: "1px solid var(--hairline-color)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--primary) 8%, transparent)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--primary) 30%, transparent)" },
  ".cm-tooltip": { backgroundColor: "var(--body-bg)", color: "var(--body-fg)", border: "1px solid var(--border-color)", borderRadius: "6px", maxWidth: "34rem" },
  ".cm-tooltip-hover > div": { padding: "6px 10px", fontFamily: "var(--font-family-primary)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--button-bg)", color: "#fff" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.8" },
  // Replaces the lint package's pictures, which are data: URLs that the policy forbids.
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--failed)", textDecorationSkipInk: "none" },
  ".cm-lint-marker": { width: "1em", height: "1em" },
  ".cm-lint-marker-error": { content: "normal", boxSizing: "border-box", border: "0.3em solid var(--failed)", borderRadius: "50%", margin: "0.25em 0.1em" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--failed)" },
  ".cm-panels": { backgroundColor: "var(--darkened-bg)", color: "var(--body-fg)" },
  ".cm-searchMatch": { backgroundColor: "var(--selected-row)" },
  ".cm-panel input, .cm-panel button": { color: "inherit", backgroundColor: "var(--body-bg)", backgroundImage: "none", border: "1px solid var(--border-color)" },
});

class ScenarioEditor extends HTMLElement {
  connectedCallback() {
    if (this.view) return;
    this.area = document.getElementById(this.getAttribute("for"));
    this.planElement = document.getElementById("plan");
    this.problemElement = document.getElementById("problems");
    this.schema = fetch(this.getAttribute("schema")).then((response) => (response.ok ? response.json() : null));
    const root = this.attachShadow({ mode: "open" });
    this.view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({ doc: this.area.value, extensions: this.extensions() }),
    });
    const isFirst = this.area.autofocus;
    this.area.hidden = true;
    this.refusals = [...this.area.form.querySelectorAll(".errornote, .errorlist")];
    this.isRefused = this.refusals.length > 0;
    if (isFirst) this.begin();
    // kept-text.js restores text into the textarea.
    this.area.addEventListener("input", () => this.takeOver(this.area.value));
    document.querySelector(`label[for="${this.area.id}"]`)?.addEventListener("click", () => this.view.focus());
  }

  extensions() {
    return [
      lineNumbers(),
      history(),
      drawSelection(),
      indentOnInput(),
      indentUnit.of("  "),
      belowKey,
      bracketMatching(),
      closeBrackets(),
      highlightActiveLine(),
      highlightSelectionMatches(),
      yaml(),
      syntaxHighlighting(colours),
      look,
      lintGutter(),
      linter((view) => this.validate(view.state.doc), { delay: QUIET_MILLISECONDS }),
      autocompletion({ override: [(context) => this.complete(context)], icons: false }),
      hoverTooltip((view, position) => this.explain(view.state.doc, position)),
      EditorView.contentAttributes.of({ tabindex: "0", "aria-label": "The scenario's document in YAML. Press Control+Space to complete a word.", "aria-describedby": "problems" }),
      EditorView.domEventHandlers({ beforeinput: typeOverLines }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) this.changed(update.state.doc);
      }),
      // Tab stays with the browser, so that keyboard users can leave the editor.
      keymap.of([{ key: "Mod-s", run: () => this.save() }, ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap]),
    ];
  }

  // Select the name of a new scenario, which must be changed first. A refused document opens at its first error.
  begin() {
    const name = this.isRefused ? null : /\bname: *([\w-]+)/d.exec(this.area.value);
    const [anchor, head] = name ? name.indices[1] : [0, 0];
    this.view.dispatch({ selection: { anchor, head } });
    this.view.focus();
  }

  // The errors of a refused document do not apply to a changed one.
  changed(doc) {
    this.area.value = doc.toString();
    this.area.dispatchEvent(new Event("input", { bubbles: true }));
    for (const refusal of this.refusals) refusal.remove();
    this.isRefused = false;
  }

  takeOver(text) {
    const { doc } = this.view.state;
    if (text !== doc.toString()) this.view.dispatch({ changes: { from: 0, to: doc.length, insert: text } });
  }

  save() {
    this.area.form.querySelector('[name="_continue"]')?.click();
    return true;
  }

  // Lets the server validate the document and shows the errors or the plan.
  async validate(doc) {
    const source = doc.toString();
    const response = await fetch(this.getAttribute("draft"), {
      method: "POST",
      headers: { "X-CSRFToken": this.area.form.elements.csrfmiddlewaretoken.value, "Content-Type": "application/yaml" },
      body: source,
    }).catch(() => null);
    if (source !== this.view.state.doc.toString()) return [];
    if (response?.redirected) {
      const link = document.createElement("a");
      link.href = location.href;
      link.target = "_blank";
      link.textContent = "log in in another window";
      this.problemElement.replaceChildren(listItem("Your login has ended. Before you save, ", link, ". This browser keeps what you wrote."));
      return [];
    }
    if (!response?.ok) {
      this.problemElement.replaceChildren(listItem("The document could not be checked, because the server did not answer. It is checked again when you save."));
      return [];
    }
    const { problems, plan } = await response.json();
    if (plan && this.planElement) this.planElement.innerHTML = plan;
    this.planElement?.classList.toggle("stale", problems.length > 0);
    this.listProblems(problems);
    if (this.isRefused && problems.length) this.goTo(problems[0]);
    this.isRefused = false;
    return problems.map((problem) => diagnostic(doc, problem));
  }

  listProblems(problems) {
    const shown = problems.slice(0, 20).map((problem) => {
      const place = document.createElement("button");
      place.type = "button";
      place.textContent = `line ${problem.line}, column ${problem.column}`;
      place.addEventListener("click", () => this.goTo(problem));
      return listItem(place, `: ${sentence(problem)}`);
    });
    if (problems.length > shown.length) shown.push(listItem(`and ${problems.length - shown.length} more`));
    this.problemElement.replaceChildren(...shown);
  }

  goTo(problem) {
    const { from } = diagnostic(this.view.state.doc, problem);
    this.view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
    this.view.focus();
  }

  async complete(context) {
    const schema = await this.schema;
    if (!schema) return null;
    const place = placeAt(context.state.doc.toString(), context.pos);
    if (place.outside || (!place.word && !context.explicit)) return null;
    const from = place.from;
    if (place.key !== null) {
      const values = valuesAt(schema, [...place.path, place.key]);
      return values.length ? { from, options: values.map((label) => ({ label, type: "constant" })) } : null;
    }
    const keys = keysAt(schema, place.path);
    return keys.length ? { from, options: keys.map(option), validFor: /^\w*$/ } : null;
  }

  async explain(doc, position) {
    const schema = await this.schema;
    const line = doc.lineAt(position);
    const word = /[\w-]+/g;
    for (let match = word.exec(line.text); match && schema; match = word.exec(line.text)) {
      const from = line.from + match.index;
      const to = from + match[0].length;
      if (position < from || position > to) continue;
      if (!/^["']?\s*:/.test(line.text.slice(match.index + match[0].length))) return null;
      const place = placeAt(doc.toString(), from);
      const about = summary(schema, [...place.path, match[0]]);
      if (place.key !== null || !(about.kind || about.description)) return null;
      return { pos: from, end: to, create: () => ({ dom: card(match[0], about) }) };
    }
    return null;
  }
}

// When several lines are selected and typed over, the browser joins them with style attributes, which the policy
// forbids, so the text is inserted here. Other handlers of typed text, such as for brackets, come first.
function typeOverLines(event, view) {
  const { from, to } = view.state.selection.main;
  const isOverLines = view.state.doc.lineAt(from).to < to;
  if (event.inputType !== "insertText" || !event.data || event.isComposing || !isOverLines || view.state.readOnly) return false;
  event.preventDefault();
  const insert = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  const isTaken = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, event.data, insert));
  if (!isTaken) view.dispatch(insert());
  return true;
}

function option(key) {
  return {
    label: key.name,
    detail: [key.kind, key.required ? "required" : ""].filter(Boolean).join(", "),
    info: key.description + (key.preset ? ` Default: ${key.preset}.` : "") || undefined,
    apply: (view, _completion, from, to) => {
      const inserted = `${key.name}: `;
      view.dispatch({ changes: { from, to, insert: inserted }, selection: { anchor: from + inserted.length }, userEvent: "input.complete" });
      startCompletion(view);
    },
    boost: key.required ? 1 : 0,
    type: "property",
  };
}

function card(name, about) {
  const dom = document.createElement("div");
  const title = document.createElement("strong");
  title.textContent = name;
  dom.append(title, about.kind ? ` · ${about.kind}` : "", about.preset ? ` · default ${about.preset}` : "");
  if (about.description) {
    const description = document.createElement("div");
    description.textContent = about.description;
    dom.append(description);
  }
  return dom;
}

function listItem(...parts) {
  const item = document.createElement("li");
  item.append(...parts);
  return item;
}

function sentence(problem) {
  return problem.hint ? `${problem.message} (${problem.hint})` : problem.message;
}

function diagnostic(doc, problem) {
  const line = doc.line(Math.min(Math.max(problem.line, 1), doc.lines));
  const from = Math.min(line.from + Math.max(problem.column - 1, 0), line.to);
  const word = /^[^\s,:}\]]+/.exec(doc.sliceString(from, line.to));
  return { from, to: Math.min(from + (word ? word[0].length : 1), line.to), severity: "error", message: sentence(problem) };
}

customElements.define("scenario-editor", ScenarioEditor);
