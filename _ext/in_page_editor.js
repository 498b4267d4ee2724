// The code field of an exercise. Its words have the classes of all code on the page, so that colours follow the theme.
import { EditorView, keymap, drawSelection } from "./codemirror/codemirror-view.js";
import { EditorState, Prec } from "./codemirror/codemirror-state.js";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "./codemirror/codemirror-commands.js";
import { bracketMatching, indentOnInput, indentUnit, syntaxHighlighting } from "./codemirror/codemirror-language.js";
import { tagHighlighter, tags } from "./codemirror/lezer-highlight.js";
import { pythonLanguage } from "./codemirror/codemirror-lang-python.js";

const WORDS = { k: [tags.keyword, tags.bool, tags.null], ow: [tags.operatorKeyword], s2: [tags.string],
  mi: [tags.number], nf: [tags.function(tags.definition(tags.variableName))], c1: [tags.comment], o: [tags.operator] };
const CLASSES = tagHighlighter(Object.entries(WORDS).map(([name, tag]) => ({ tag, class: name })));

// A field with this text; `run` is called by Control or Shift and Enter.
export function edit(parent, text, label, run) {
  const ran = () => { run(); return true; };
  const state = EditorState.create({ doc: text, extensions: [
    Prec.highest(keymap.of([{ key: "Mod-Enter", run: ran }, { key: "Shift-Enter", run: ran }])),
    keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
    history(), drawSelection(), indentOnInput(), indentUnit.of("    "), bracketMatching(), pythonLanguage,
    syntaxHighlighting(CLASSES), EditorView.lineWrapping,
    EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
  ] });
  const view = new EditorView({ state, parent });
  return {
    text: () => view.state.doc.toString(),
    // The `...` is selected: what is typed takes its place.
    begin(again) {
      if (again !== undefined) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: again } });
      const at = view.state.doc.toString().indexOf("...");
      if (at >= 0) view.dispatch({ selection: { anchor: at, head: at + 3 } });
      view.focus();
    },
  };
}
